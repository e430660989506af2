-- Prints one JSON array a fact: [kind, name, value]. Read only, one snapshot for all of it.
-- Text must not depend on a server's settings, so what it depends on is set here.
\set ON_ERROR_STOP 1
begin isolation level repeatable read read only;
set local search_path = pg_catalog;
set local extra_float_digits = 3;
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'iso_8601';
set local timezone = 'UTC';
set local bytea_output = 'hex';
set local statement_timeout = 0;

-- Relations that are the database's own: no system schema, nothing that belongs to an extension.
-- (A temporary view would be a write, so the condition is a psql variable.)
\set ours 'n.nspname !~ ''^(pg_|information_schema$)'' and not exists (select 1 from pg_depend d where d.objid = c.oid and d.classid = ''pg_class''::regclass and d.deptype = ''e'')'

-- A dump without --create has none of these; encoding and collation are made anew from the source's.
select json_build_array('encoding and collation', 'the database', json_build_array(
  pg_encoding_to_char(encoding), datcollate, datctype)::text)
from pg_database where datname = current_database();
select json_build_array('owner', 'the database', pg_get_userbyid(datdba))
from pg_database where datname = current_database();
select json_build_array('privileges', 'the database',
  (select array_agg(a::text order by a::text)
   from unnest(coalesce(datacl, acldefault('d', datdba))) a)::text)
from pg_database where datname = current_database();
select json_build_array('settings', 'the database', coalesce(
  (select array_agg(c order by c) from pg_db_role_setting s, unnest(setconfig) c
   where s.setdatabase = d.oid)::text, 'none'))
from pg_database d where datname = current_database();

-- Rows and a checksum of every table. The checksum is a multiset's: the sum over all rows of both
-- halves of md5(row as text), so the order of the rows does not matter and a duplicate counts.
select format(
  'select json_build_array(''rows'', %1$L, count(*)) from only %2$s as cutover_row_',
  n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where :ours and c.relkind in ('r', 'm') and c.relpersistence <> 't'
\gexec
select format(
  'select json_build_array(''checksum'', %1$L, '
  'coalesce(sum((''x'' || left(h, 16))::bit(64)::bigint::numeric), 0)::text || ''/'' || '
  'coalesce(sum((''x'' || right(h, 16))::bit(64)::bigint::numeric), 0)::text) '
  'from (select md5(cutover_row_::text) h from only %2$s as cutover_row_) x',
  n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where :ours and c.relkind in ('r', 'm') and c.relpersistence <> 't'
\gexec
select json_build_array('checksum', 'large objects', count(*)::text || '/' ||
  coalesce(sum(('x' || left(md5(loid::text || '.' || pageno || '.' || data::text), 16))
               ::bit(64)::bigint::numeric), 0)::text)
from pg_largeobject;

-- Sequences: the last value, and whether it was given out already.
select format(
  'select json_build_array(''sequence'', %1$L, last_value) from %2$s union all '
  'select json_build_array(''sequence called'', %1$L, is_called::text) from %2$s',
  n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where :ours and c.relkind = 'S'
\gexec

select json_build_array('role', rolname, json_build_array(rolsuper, rolinherit, rolcreaterole,
  rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil,
  (select array_agg(c order by c) from pg_db_role_setting s, unnest(setconfig) c
   where s.setrole = r.oid and s.setdatabase = 0),
  (select array_agg(g.rolname::text || case when m.admin_option then ' admin' else '' end
                    order by g.rolname)
   from pg_auth_members m join pg_authid g on g.oid = m.roleid where m.member = r.oid))::text)
from pg_authid r where rolname !~ '^pg_';
-- Of the stored verifier only a digest leaves the server.
select json_build_array('password', rolname,
  coalesce(encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex'), 'none'))
from pg_authid where rolname !~ '^pg_';

select json_build_array('extension', extname, extversion) from pg_extension;
select json_build_array('schema', nspname, json_build_array(pg_get_userbyid(nspowner),
  (select array_agg(a::text order by a::text)
   from unnest(coalesce(nspacl, acldefault('n', nspowner))) a))::text)
from pg_namespace n where nspname !~ '^(pg_|information_schema$)';
select json_build_array('owner and privileges', n.nspname || '.' || c.relname,
  json_build_array(c.relkind, pg_get_userbyid(c.relowner), c.relrowsecurity,
  (select array_agg(a::text order by a::text) from unnest(coalesce(c.relacl,
     acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) a),
  (select array_agg(t.attname || ' ' || t.attacl::text order by t.attnum) from pg_attribute t
   where t.attrelid = c.oid and t.attacl is not null))::text)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where :ours and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and c.relpersistence <> 't';
select json_build_array('column', n.nspname || '.' || c.relname || '.' || t.attname,
  json_build_array(format_type(t.atttypid, t.atttypmod), t.attnotnull, t.attidentity,
    t.attgenerated, pg_get_expr(f.adbin, f.adrelid))::text)
from pg_attribute t join pg_class c on c.oid = t.attrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_attrdef f on f.adrelid = c.oid and f.adnum = t.attnum
where :ours and c.relkind in ('r', 'p', 'v', 'm') and c.relpersistence <> 't'
  and t.attnum > 0 and not t.attisdropped;
select json_build_array('constraint', n.nspname || '.' || c.relname || '.' || k.conname,
  pg_get_constraintdef(k.oid) || case when k.convalidated then '' else ' (not valid)' end)
from pg_constraint k join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace where :ours;
select json_build_array('index', n.nspname || '.' || c.relname,
  pg_get_indexdef(c.oid) || case when i.indisvalid then '' else ' (not valid)' end)
from pg_index i join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace where :ours;
select json_build_array('trigger', n.nspname || '.' || c.relname || '.' || t.tgname,
  pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text)
from pg_trigger t join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace where :ours and not t.tgisinternal;
select json_build_array('view', n.nspname || '.' || c.relname, pg_get_viewdef(c.oid))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where :ours and c.relkind in ('v', 'm');
select json_build_array('function', p.oid::regprocedure::text,
  md5(pg_get_functiondef(p.oid)) || ' ' || pg_get_userbyid(p.proowner))
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^(pg_|information_schema$)' and p.prokind in ('f', 'p')
  and not exists (select 1 from pg_depend d where d.objid = p.oid
                  and d.classid = 'pg_proc'::regclass and d.deptype = 'e');
commit;
