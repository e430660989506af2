# Summarises a plain PostgreSQL dump: "table NAME" a CREATE TABLE, "rows NAME COUNT" a COPY block,
# "roles COUNT", "mark" when the text `mark` stands in its data, "end" at its end marker.
# Data is told from statements: a row may say anything. An unfinished COPY block has no rows line.
copying {
    if ($0 == "\\.") { print "rows", copying, count; copying = ""; next }
    count++
    if (mark != "" && index($0, mark)) marked = 1
    next
}
/^COPY .* FROM stdin;$/ { copying = $2; count = 0; next }
/^CREATE (UNLOGGED )?TABLE / { name = $0; sub(/^CREATE (UNLOGGED )?TABLE /, "", name); sub(/ \($/, "", name); print "table", name; next }
/^CREATE MATERIALIZED VIEW / { print "table", $4; next }
/^CREATE ROLE / { roles++; next }
/^-- PostgreSQL database (cluster )?dump complete$/ { complete = 1 }
END {
    print "roles", roles + 0
    if (marked) print "mark"
    if (complete) print "end"
}
