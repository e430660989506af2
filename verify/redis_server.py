"""A Redis server of the cluster, reached from the harness."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError, Unreachable
from fixtures.waiting import Pending, eventually

REDIS_PORT = 6379
_SECONDS = 10.0


@contextmanager
def redis_connected(cluster: Cluster, service: str) -> Iterator[redis.Redis]:
    """Connect to the running task of the service of that full name, with its secret's password.

    Raises `Unreachable` when it does not accept the connection, or drops it on the way, and
    `CutoverError` for what it refuses.
    """
    password = redis_password(cluster, service)
    with cluster.reach(service, REDIS_PORT) as socket:
        client = redis.Redis(
            unix_socket_path=str(socket),
            password=password,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
        )
        try:
            yield client
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise Unreachable(" ".join(str(error).split()), where=f"service {service}") from error
        except redis.RedisError as error:
            raise CutoverError(" ".join(str(error).split()), where=f"service {service}") from error
        finally:
            client.close()


def redis_password(cluster: Cluster, service: str) -> str:
    """Read the password where the service itself does: it is kept nowhere else."""
    return cluster.in_task(service, ["cat", "/run/secrets/redis_password"]).strip()


def save_snapshot(cluster: Cluster, service: str, *, within: float) -> None:
    """Have the server write its dump.rdb now, and wait for it. Raises `NeverTrue`, `CutoverError`.

    It is what Redis does by itself when its `save` rules say so.
    """
    with redis_connected(cluster, service) as client:
        client.bgsave()
        eventually(lambda: _saved(client), within=within, what=f"{service} has saved its data")


def _saved(client: redis.Redis) -> bool | Pending:
    seen: dict[str, Any] = client.info("persistence")
    if seen["rdb_bgsave_in_progress"]:
        return Pending("it is saving")
    if seen["rdb_last_bgsave_status"] != "ok":
        raise CutoverError(
            f"its last save ended with {seen['rdb_last_bgsave_status']}", where="Redis"
        )
    return True
