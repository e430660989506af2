"""Writers against a database that is a file: everything is real but the server and the cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# A row is committed by one appending write; the file `trouble`, when there, says what happens.
PSYCOPG = """
import asyncio, os, pathlib
HERE = pathlib.Path(__file__).parent
class Error(Exception):
    sqlstate = None
class ReadOnly(Error):
    sqlstate = "25006"
class Shutdown(Error):
    sqlstate = "57P01"
def trouble():
    try:
        return (HERE / "trouble").read_text()
    except FileNotFoundError:
        return ""
class Cursor:
    async def fetchone(self):
        return ("10.0.0.1",)
class Connection:
    closed = False
    def fileno(self):
        raise Error("no socket")
    async def execute(self, sql, values):
        assert sql == b"insert into keys (key) values (%s) returning host(inet_server_addr())"
        await asyncio.sleep(0)
        now = trouble()
        if now == "read-only":
            raise ReadOnly("cannot execute INSERT in a read-only transaction")
        log = os.open(HERE / "rows", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, b"%d\\n" % values[0])
        os.close(log)
        if now == "shutdown":
            raise Shutdown("terminating connection")
        if now == "silent":
            await asyncio.sleep(60)
        return Cursor()
    async def close(self):
        pass
class AsyncConnection:
    @staticmethod
    async def connect(**told):
        assert told["host"] == "a,b" and told["port"] == "5432,5432"
        assert told["target_session_attrs"] == "read-write" and told["autocommit"] is True
        assert told["password"] == "s3cret"
        if trouble() == "down":
            raise OSError("connection refused")
        return Connection()
"""

ORDERS: dict[str, Any] = {
    "kind": "postgresql",
    "hosts": ["a", "b"],
    "target": "keys",
    "port": 5432,
    "dbname": "gibd",
    "user": "postgres",
    "password": "s3cret",
}


class Lab:
    """Starts commands on this machine, with a `docker` that runs what it is to execute."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "psycopg.py").write_text(PSYCOPG)
        docker = folder / "docker"
        docker.write_text(f'#!/bin/sh\nshift 4\nexec {sys.executable} "$@"\n')
        docker.chmod(0o755)

    def popen(self, command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start it; `exec` so that the process that is ours is the writer's own `timeout`."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            env={"PATH": f"{self.folder}:{os.environ['PATH']}", "PYTHONPATH": str(self.folder)},
            start_new_session=True,
            **options,
        )
        self.processes.append(process)
        return process

    def trouble(self, what: str) -> None:
        """Let the database be `read-only`, `shutdown`, `silent`, `down`, or well again: empty."""
        (self.folder / "trouble").write_text(what)

    def rows(self) -> dict[int, int]:
        """Return the keys that the database has, and how often."""
        found: dict[int, int] = {}
        if (self.folder / "rows").exists():
            for line in (self.folder / "rows").read_text().split():
                found[int(line)] = found.get(int(line), 0) + 1
        return found
