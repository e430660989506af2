"""What a database was created with and no dump of it says: its encoding and its collation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Prints what `clause` takes. As JSON, for the columns' names differ from version to version.
QUERY: Final = (
    "select to_jsonb(d) || jsonb_build_object('encoding', pg_encoding_to_char(encoding))"
    " from pg_database d where datname = current_database();"
)
#: `pg_database.datlocprovider` → its name, and the options that say the locale and its rules.
_PROVIDERS: Final = {
    "c": ("libc", ()),
    "i": ("icu", ("icu_locale", "icu_rules")),
    "b": ("builtin", ("builtin_locale",)),
}


def clause(row: Mapping[str, str | None]) -> str:
    """Return the options of CREATE DATABASE that make one like that of a row of pg_database.

    Before PostgreSQL 15 there is no provider, before 17 the locale is `daticulocale`.
    """
    options = {
        "encoding": row["encoding"],
        "lc_collate": row["datcollate"],
        "lc_ctype": row["datctype"],
    }
    if provider := row.get("datlocprovider"):
        name, further = _PROVIDERS[provider]
        locale = row.get("datlocale") or row.get("daticulocale")
        options["locale_provider"] = name
        options |= dict(zip(further, (locale, row.get("daticurules")), strict=False))
    return " ".join(f"{name} {_quoted(value)}" for name, value in options.items() if value)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
