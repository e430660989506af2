"""Every fault with arguments that suit a twin with the plan's stacks."""

from __future__ import annotations

from typing import Any, Final

from fixtures.cluster.twin.blueprint import SCRATCH

BACKUP: Final = f"{SCRATCH}/backup"
Choice = tuple[str, dict[str, Any]]

#: All but `node.clock-step`, which a twin cannot show, each way that matters.
ALL: Final[tuple[Choice, ...]] = (
    ("node.power-off", {"node": "hpr"}),
    ("node.reboot", {"node": "hpr"}),
    ("node.freeze", {"node": "hpr"}),
    ("node.engine-stop", {"node": "hpr"}),
    ("node.engine-freeze", {"node": "hpr"}),
    ("node.drain", {"node": "hpr"}),
    ("task.kill", {"service": "canary"}),
    ("task.stop", {"service": "canary"}),
    ("task.pause", {"service": "canary"}),
    ("task.restart-loop", {"service": "canary"}),
    ("task.out-of-memory", {"service": "canary"}),
    ("task.memory", {"service": "canary"}),
    ("network.isolate", {"node": "hpr"}),
    ("network.cut", {"node": "hpr", "peer": "wsasus"}),
    ("network.one-way", {"node": "hpr", "source": "wsasus"}),
    ("network.partition", {"side": "a minority of the managers"}),
    ("network.port", {"node": "wsasus", "port": 2377}),
    ("network.port", {"node": "hpr", "port": 7946}),
    ("network.port", {"node": "hpr", "port": 4789}),
    ("network.loss", {"node": "hpr", "percent": 20}),
    ("network.bandwidth", {"node": "hpr", "kilobits": 1000}),
    ("network.latency", {"node": "hpr", "milliseconds": 80, "jitter": 10}),
    ("network.service-cut", {"service": "ws-gateway", "peer": "ws-company"}),
    ("network.dns-failure", {"service": "ws-company"}),
    ("resource.cpu", {"node": "hpr"}),
    ("resource.memory", {"node": "hpr", "megabytes": 64}),
    ("resource.disk-full", {"node": "hpr", "path": SCRATCH}),
    ("resource.inodes", {"node": "hpr", "path": SCRATCH}),
    ("resource.io-throttle", {"service": "canary"}),
    ("data.postmaster-kill", {"service": "gibd-postgres-replica"}),
    ("data.slot-dropped", {"service": "gibd-postgres", "slot": "gibd_postgres_replica"}),
    ("data.wal-receiver-stopped", {"service": "gibd-postgres-replica"}),
    ("data.replica-promoted", {"service": "gibd-postgres-replica"}),
    ("data.redis-killed-saving", {"service": "gibd-redis"}),
    ("data.file-damaged", {"node": "hpr", "path": BACKUP, "how": "truncate"}),
    ("data.file-damaged", {"node": "hpr", "path": BACKUP, "how": "flip"}),
)

#: Those that leave something behind when nobody undoes them, and keep the managers' quorum.
LASTING: Final[tuple[Choice, ...]] = (
    ("node.power-off", {"node": "hpr"}),
    ("node.power-off", {"node": "a manager that is not the leader"}),
    ("node.freeze", {"node": "hpr"}),
    ("node.engine-freeze", {"node": "hpr"}),
    ("node.drain", {"node": "hpr"}),
    ("task.pause", {"service": "canary"}),
    ("network.isolate", {"node": "hpr"}),
    ("network.isolate", {"node": "wsasus"}),
    ("network.cut", {"node": "gmktec", "peer": "hppavilion"}),
    ("network.one-way", {"node": "wsasus", "source": "hpr"}),
    ("network.partition", {"side": "a minority of the managers"}),
    ("network.port", {"node": "hpr", "port": 7946}),
    ("network.loss", {"node": "gmktec", "percent": 20}),
    ("network.bandwidth", {"node": "hpr", "kilobits": 2000}),
    ("network.latency", {"node": "wsasus", "milliseconds": 50, "jitter": 10}),
    ("network.dns-failure", {"service": "canary"}),
    ("resource.cpu", {"node": "hpr"}),
    ("resource.memory", {"node": "gmktec", "megabytes": 64}),
    ("resource.disk-full", {"node": "hpr", "path": SCRATCH}),
    ("resource.inodes", {"node": "wsasus", "path": SCRATCH}),
    ("resource.io-throttle", {"service": "canary"}),
    ("data.file-damaged", {"node": "hpr", "path": BACKUP, "how": "flip"}),
)
