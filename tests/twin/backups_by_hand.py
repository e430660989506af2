"""Makes backups as the jobs do, at once: sabotages need not wait for a schedule."""

from __future__ import annotations

import shlex
from datetime import datetime

from fixtures.cluster.cluster import Cluster
from verify.backups.names import Backup, parse
from verify.backups.store import Store

POSTGRES = "data_gibd-postgres"
REDIS = "data_gibd-redis"


def _saved(store: Store, path: str, command: str, *, keep_going: str = "") -> Backup:
    """Run `command` on the store's node with its output in `path`."""
    folder, name = path.rsplit("/", 1)
    into = shlex.quote(f"{store.path}/{folder}")
    store.node.run(f"mkdir -p {into} && cd {into} && {command} >{name} {keep_going}", timeout=60)
    backup = parse(path)
    assert backup is not None
    return backup


def container_on(cluster: Cluster, service: str, store: Store) -> str:
    """The service's container, which has to run on the store's node."""
    node, task = cluster.a_task(service)
    assert node is store.node
    return task.container_id


def stamp(store: Store) -> datetime:
    return store.now()


def dump(cluster: Cluster, store: Store, *, database: str = "gibd", as_: str = "gibd") -> Backup:
    container = container_on(cluster, POSTGRES, store)
    path = f"postgres/last/{as_}-{stamp(store):%Y%m%d-%H%M%S}.sql.gz"
    command = f"docker exec {container} sh -c 'pg_dump -U postgres {database} | gzip -1'"
    return _saved(store, path, command)


def globals_(cluster: Cluster, store: Store) -> Backup:
    container = container_on(cluster, POSTGRES, store)
    path = f"postgres/last/globals-{stamp(store):%Y%m%d-%H%M%S}.sql.gz"
    command = f"docker exec {container} sh -c 'pg_dumpall -U postgres --globals-only | gzip -1'"
    return _saved(store, path, command)


def rdb(cluster: Cluster, store: Store) -> Backup:
    container = container_on(cluster, REDIS, store)
    path = f"redis/redis-{stamp(store):%Y%m%d-%H%M%S}.rdb"
    inside = (
        "export REDISCLI_AUTH=$(cat /run/secrets/redis_password); "
        "redis-cli --rdb /tmp/by-hand.rdb >/dev/null 2>&1; cat /tmp/by-hand.rdb; "
        "rm /tmp/by-hand.rdb"
    )
    return _saved(store, path, f"docker exec {container} sh -c {shlex.quote(inside)}")


def volumes(store: Store, names: tuple[str, ...], image: str) -> Backup:
    path = f"volumes/backup-{stamp(store):%Y-%m-%dT%H-%M-%S}.tar.gz"
    mounts = " ".join(f"--volume {name}:/backup/{name}:ro" for name in names)
    return _saved(
        store,
        path,
        f"docker run --rm --network none {mounts} --entrypoint tar {image} -C / -czf - backup",
    )
