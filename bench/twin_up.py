"""`twin_up`: warm images to 4 x Ready, against a bare shell script on the same engine and image."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.entry import Entry
from fixtures.cluster.twin import blueprint
from fixtures.cluster.twin.provision import Twin, may_be_privileged
from fixtures.engine import acquire
from fixtures.engine.host import default_mtu
from fixtures.images.builder import ensure_images

_SCRIPT: Final = Path(__file__).with_name("bare_twin.sh")
_PREFIX: Final = "198.18.126"
_SECONDS: Final = 300


def run(rounds: int = 3) -> list[Entry]:
    """Run both `rounds` times in turn; medians, in seconds."""
    engine = acquire()
    try:
        image = ensure_images(engine, ("node",))["node"]
        twin = Twin("bench", engine.client())

        def ours() -> float:
            started = time.monotonic()
            twin.up(image).close()
            return time.monotonic() - started

        def bare() -> float:
            return _bare(engine.docker_host, "up", image, _PREFIX, str(default_mtu()), *_options())

        taken: dict[str, list[float]] = {"ours": [], "bare": []}
        contenders: list[tuple[str, Callable[[], float], Callable[[], object]]] = [
            ("bare", bare, lambda: _bare(engine.docker_host, "down")),
            ("ours", ours, twin.down),
        ]
        for _ in range(rounds):
            for name, up, down in contenders:
                try:
                    taken[name].append(up())
                finally:
                    down()
    finally:
        engine.close()
    engine.stop_if_unused()
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return [Entry("twin_up", medians["ours"], "s", medians["bare"], rounds)]


def _options() -> list[str]:
    if may_be_privileged():
        return ["--privileged"]
    capabilities = [f"--cap-add={name}" for name in blueprint.CAPABILITIES]
    security = ["--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined"]
    return capabilities + security


def _bare(docker_host: str, *arguments: str) -> float:
    done = subprocess.run(
        [str(_SCRIPT), *arguments],
        env={**os.environ, "DOCKER_HOST": docker_host},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    return float(done.stdout.split()[-1]) if done.stdout.strip() else 0.0
