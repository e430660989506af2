"""Images whose variables, ports and data folders are documented: what they know, and no more.

Sources: the images' own entrypoints and pages (docker-library/postgres, docker-library/mariadb,
docker-library/redis, edoburu/docker-pgbouncer, prodrigestivill/docker-postgres-backup-local,
loomchild/volume-backup). A pattern may stand for a family of variables.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Final

#: Read by the C library, a shell or a proxy's client, in any image.
EVERYWHERE: Final = (
    "TZ", "LANG", "LC_*", "PATH", "HOME", "HOSTNAME", "TERM", "LD_*", "MALLOC_*",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


@dataclass(frozen=True)
class KnownImage:
    """What one image knows.

    `variables`: names or patterns. `hints`: variable that belongs to another image → what to do.
    `port`: what it listens on unless `port_variable` says otherwise. `data`: where it keeps data.
    `healthy`: it has a health check of its own. `stops`: stopping it takes longer than 10 s.
    """

    variables: tuple[str, ...]
    hint: str = ""
    port: int | None = None
    port_variable: str = ""
    data: str = ""
    healthy: bool = False
    stops: bool = False

    def knows(self, variable: str) -> bool:
        """Whether the image, or any program in it, reads the variable."""
        names = (*self.variables, *EVERYWHERE)
        return any(fnmatch.fnmatchcase(variable, name) for name in names)


def _with_file(*names: str) -> tuple[str, ...]:
    return tuple(each for name in names for each in (name, f"{name}_FILE"))


_POSTGRES: Final = KnownImage(
    (
        *_with_file("POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"),
        "POSTGRES_INITDB_WALDIR",
        "POSTGRES_HOST_AUTH_METHOD",
        "PG*",  # libpq's
    ),
    hint="The official image sets up no replication and no server settings from variables (those "
    "of Bitnami's do): use command: postgres -c …, and pg_basebackup in a start script.",
    port=5432,
    port_variable="PGPORT",
    data="/var/lib/postgresql/data",
    stops=True,
)
_MARIADB: Final = KnownImage(
    (
        *(
            name
            for prefix in ("MARIADB", "MYSQL")
            for name in _with_file(
                f"{prefix}_ROOT_PASSWORD", f"{prefix}_ROOT_HOST", f"{prefix}_DATABASE",
                f"{prefix}_USER", f"{prefix}_PASSWORD", f"{prefix}_RANDOM_ROOT_PASSWORD",
                f"{prefix}_ALLOW_EMPTY_PASSWORD", f"{prefix}_INITDB_SKIP_TZINFO",
            )
        ),
        "MARIADB_*_HASH", "MARIADB_*_HASH_FILE", "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD",
        "MARIADB_AUTO_UPGRADE", "MARIADB_DISABLE_UPGRADE_BACKUP", "MARIADB_MYSQL_LOCALHOST_*",
        "MARIADB_HEALTHCHECK_GRANTS", "MARIADB_REPLICATION_*", "MARIADB_MASTER_*",
    ),
    port=3306,
    data="/var/lib/mysql",
    stops=True,
)  # fmt: skip
_PGBOUNCER: Final = KnownImage(
    (
        "DATABASE_URL*", "DB_USER", "DB_PASSWORD", "DB_HOST", "DB_PORT", "DB_NAME", "AUTH_*",
        "CLIENT_*", "SERVER_*", "LOG_*", "STATS_*", "ADMIN_*", "TCP_*", "DNS_*", "LISTEN_*",
        "POOL_*", "DEFAULT_POOL_SIZE", "MIN_POOL_SIZE", "RESERVE_POOL_*", "MAX_*", "QUERY_*",
        "UNIX_SOCKET_DIR", "IGNORE_STARTUP_PARAMETERS", "DISABLE_PQEXEC", "TIMEZONE", "VERBOSE",
        "APPLICATION_NAME_ADD_HOST", "AUTODB_IDLE_TIMEOUT", "IDLE_TRANSACTION_TIMEOUT", "PKT_BUF",
        "SBUF_LOOPCNT", "SUSPEND_TIMEOUT",
    ),
    port=5432,
    port_variable="LISTEN_PORT",
)  # fmt: skip
_BACKUP: Final = KnownImage(
    (
        *_with_file("POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"),
        "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_EXTRA_OPTS", "POSTGRES_CLUSTER",
        "POSTGRES_PASSFILE_STORE", "POSTGRES_PORT_5432_*", "BACKUP_*", "SCHEDULE", "PG*",
        "HEALTHCHECK_PORT", "WEBHOOK_*", "LOGDIR", "ELEMENT_SERVER", "ROOM_ID", "ACCESS_TOKEN",
        "VALIDATE_ON_START",
    ),
    healthy=True,
)  # fmt: skip

IMAGES: Final = {
    "postgres": _POSTGRES,
    "mariadb": _MARIADB,
    "redis": KnownImage(
        ("REDISCLI_AUTH",),
        hint="The official image reads no settings from variables: use command: redis-server …",
        port=6379,
        data="/data",
        stops=True,
    ),
    "edoburu/pgbouncer": _PGBOUNCER,
    "prodrigestivill/postgres-backup-local": _BACKUP,
    "loomchild/volume-backup": KnownImage(
        (),
        hint="It makes one copy when run as `backup NAME` and has no scheduler; the BACKUP_* "
        "variables are those of offen/docker-volume-backup.",
    ),
}


def known(name: str) -> KnownImage | None:
    """Return what is known of the image of that name, whatever registry mirrors it."""
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first):
        name = rest.removeprefix("library/")
    return IMAGES.get(name)
