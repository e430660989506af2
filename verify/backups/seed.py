"""An application's data for a twin to lose: a restore of an empty database would prove nothing."""

from __future__ import annotations

from typing import Final

from verify.backups.postgres import Postgres, psql
from verify.backups.redis import Redis
from verify.backups.volumes import Volumes

SCHEMA: Final = "cutover_shop"
READER: Final = "cutover_reader"
_SEED_SECONDS: Final = 120.0

_DROP: Final = f"""
drop schema if exists {SCHEMA} cascade;
do $$ begin
  if exists (select from pg_roles where rolname = '{SCHEMA}') then drop owned by {SCHEMA}; end if;
  if exists (select from pg_roles where rolname = '{READER}') then drop owned by {READER}; end if;
end $$;
drop role if exists {SCHEMA};
drop role if exists {READER};
"""  # noqa: S608 - names of ours

# A role that owns and one that may only read, a password, a sequence that was drawn from, a foreign
# key, a partial index, a view, a function and its trigger: each is something that restores forget.
_MAKE: Final = """
create role {reader} nologin;
create role {schema} login password '{password}' connection limit 7 in role {reader};
create schema {schema} authorization {schema};
set role {schema};
set search_path = {schema};
create table customers (id bigint generated always as identity primary key,
                        name text not null unique, at timestamptz not null default now());
create table orders (id bigserial primary key, customer bigint not null references customers,
                     cents integer not null check (cents >= 0), note text,
                     tags text[] not null default '{{}}', raw bytea);
create index open_orders on orders (customer) where note is null;
create view totals as select customer, sum(cents) as cents from orders group by customer;
create function lower_note() returns trigger language plpgsql as
  $$ begin new.note := lower(new.note); return new; end $$;
create trigger lower_note before insert on orders for each row execute function lower_note();
insert into customers (name) select 'customer ' || n from generate_series(1, {customers}) n;
insert into orders (customer, cents, note, tags, raw)
  select 1 + n % {customers}, n, case when n % 3 = 0 then 'Note ' || n || E'\\t\\n' end,
         array['a', n::text], sha256(n::text::bytea) from generate_series(1, {orders}) n;
grant usage on schema {schema} to {reader};
grant select on customers, totals to {reader};
"""


def seed_database(source: Postgres, *, password: str, customers: int, orders: int) -> None:
    """Give the database an application's schema, roles and rows; an earlier one is replaced."""
    make = _MAKE.format(
        schema=SCHEMA, reader=READER, password=password, customers=customers, orders=orders
    )
    psql(source.container(), source.database, source.user, _DROP + make, timeout=_SEED_SECONDS)


def drop_database_seed(source: Postgres) -> None:
    """Remove what `seed_database` made; safe to repeat."""
    psql(source.container(), source.database, source.user, _DROP)


_KEYS: Final = (
    "HSET {p}hash a 1 b 2 c 3",
    "RPUSH {p}list 3 1 2 1",
    "SADD {p}set x y z",
    "ZADD {p}sorted 1.5 a 2 b",
    "XADD {p}stream * field value",
    "XGROUP CREATE {p}stream readers 0",
    "SET {p}text plain",
    "SET {p}expires soon EX 100000",
)
_PREFIX: Final = "cutover:shop:"


def seed_keys(source: Redis) -> None:
    """Give Redis a key of every type, one that expires, and one in another database."""
    drop_keys(source)
    commands = "\n".join(line.format(p=_PREFIX) for line in _KEYS)
    source.cli("redis-cli", stdin=commands)
    source.cli("redis-cli -n 3", stdin=f"SET '{_PREFIX}other database' 1")


def drop_keys(source: Redis) -> None:
    """Remove what `seed_keys` made; safe to repeat."""
    names = {line.format(p=_PREFIX).split()[1] for line in _KEYS} - {"CREATE"}
    source.cli("redis-cli", stdin=f"DEL {' '.join(sorted(names))}")
    source.cli("redis-cli -n 3", stdin=f"DEL '{_PREFIX}other database'")


def seed_files(source: Volumes) -> None:
    """Put files with owners, modes, times and links of their own into every volume."""
    source.shell(
        "umask 022; mkdir -p 'cutover shop/empty'; cd 'cutover shop'; seq 1 2000 >numbers;"
        " head -c 100000 /dev/urandom >noise; printf key >secret; chmod 0600 secret;"
        " chown 1000:33 numbers; chmod 2750 empty; ln -sf ../gone dangling; ln -sf noise link;"
        " touch -d '2020-01-02 03:04:05' noise; printf x >'odd\n name'"
    )


def drop_files(source: Volumes) -> None:
    """Remove what `seed_files` made; safe to repeat."""
    source.shell("rm -rf 'cutover shop'")
