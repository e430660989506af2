"""A `redis` package whose servers are files, for writers that run as real processes."""

from __future__ import annotations

from pathlib import Path

# `role-HOST` says what a host is, or `refused`; a file `rows` has a line for each HINCRBY.
_PACKAGE = {
    "__init__.py": """
class RedisError(Exception): pass
class ConnectionError(RedisError): pass
class ResponseError(RedisError): pass
from redis import asyncio
""",
    "backoff.py": "class NoBackoff: pass\n",
    "asyncio/retry.py": """
class Retry:
    def __init__(self, backoff, retries):
        assert retries == 0
""",
    "asyncio/__init__.py": """
import os, pathlib
HERE = pathlib.Path(__file__).parents[2]
def role(host):
    import redis
    now = (HERE / f"role-{host}").read_text()
    if now == "refused":
        raise redis.ConnectionError("connection refused")
    return now
class Link:
    is_connected = True
class Both:
    def __init__(self, client):
        self.client, self.key = client, ""
    async def __aenter__(self):
        return self
    async def __aexit__(self, *_):
        pass
    def hincrby(self, name, key, by):
        assert (name, by) == ("keys", 1)
        self.key = key
    def expire(self, name, seconds):
        assert (name, seconds) == ("keys", 3600)
    async def execute(self):
        import redis
        if role(self.client.host) != "master":
            raise redis.ResponseError("READONLY You can't write against a read only replica.")
        log = os.open(HERE / "rows", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, self.key.encode() + b"\\n")
        os.close(log)
class Redis:
    def __init__(self, host, password, retry, retry_on_timeout, single_connection_client, **_):
        assert password == "s3cret" and not retry_on_timeout and single_connection_client
        self.host, self.connection = host, Link()
    async def execute_command(self, command):
        assert command == "ROLE"
        return [role(self.host).encode(), 0, []]
    def pipeline(self, transaction):
        assert transaction
        return Both(self)
    async def aclose(self):
        pass
""",
}


def write_package(folder: Path) -> None:
    """Put the package into `folder`, which a writer's PYTHONPATH names."""
    for name, text in _PACKAGE.items():
        file = folder / "redis" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
