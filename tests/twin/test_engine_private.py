"""The private engine on this machine: killed at bad moments, it starts again and leaves nothing."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from fixtures.engine import handle, host, places, private, processes
from fixtures.waiting import Pending, eventually

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("dockerd"), reason="needs root and dockerd"
    ),
    # A dockerd that starts makes the chains of its packet filter anew, under the feet of another
    # that just then publishes a twin's ports: "No chain/target/match by that name".
    pytest.mark.quiet,
]


@pytest.fixture
def engine_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders, and by them an engine, of this test's own: a real one may stand beside it."""
    with tempfile.TemporaryDirectory(prefix="cutover-") as folder:
        monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        monkeypatch.setenv("XDG_STATE_HOME", f"{folder}/state")
        yield
        private.stop()


def host_settings() -> dict[str, str]:
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return {
        "policy": re.findall(r"^:FORWARD \w+", saved, re.MULTILINE)[0] if saved else "",
        "forward": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "docker0": str(Path("/sys/class/net/docker0").exists()),
    }


def traces(bridges: set[str], containers: set[str]) -> list[str]:
    """Everything on this machine that is the engine's."""
    rules = ""
    for command in ("iptables-save", "ip6tables-save"):
        if shutil.which(command):
            rules += subprocess.run([command], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/mounts").read_text()
    roots = (places.exec_root(), places.data_root())
    groups = [Path(folder).name for folder, _, _ in os.walk("/sys/fs/cgroup")]
    return [
        *(f"process {number}" for number in processes.all_ours()),
        *(f"link {name}" for name in bridges if Path("/sys/class/net", name).exists()),
        *(rule for rule in rules.splitlines() if any(name in rule for name in bridges)),
        *(mount for root in roots for mount in host.mounts_below(root, mounts)),
        *(f"control group {name}" for name in groups if any(c in name for c in containers)),
        *(str(path) for path in (places.pid_file(), places.socket()) if path.exists()),
    ]


def image_of_sleep(client: DockerClient) -> str:
    """An image that holds nothing but `sleep`, made without a network."""
    program = str(shutil.which("sleep"))
    needs = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        tar.add(program, "bin/sleep")
        for library in re.findall(r"(/\S+) \(0x", needs):
            tar.add(library, library.lstrip("/"))
    client.api.import_image_from_data(packed.getvalue(), repository="sleep", tag="1")
    return "sleep:1"


def run_containers(client: DockerClient) -> tuple[set[str], set[str]]:
    """Start one container on the default bridge and one on a network; return bridges and ids."""
    network = client.networks.create("cutover-test")
    for name in ("bridge", "cutover-test"):
        ports: Any = {"80": ("127.0.0.1", None)}
        client.containers.run(
            "sleep:1", ["/bin/sleep", "1000"], detach=True, network=name, ports=ports
        )
    own = host.prepare().bridge
    ids = {str(container.id) for container in client.containers.list()}
    assert len(ids) == 2
    return {own, f"br-{str(network.id)[:12]}"}, ids


def kill(*, with_shims: bool) -> None:
    daemon = processes.daemon()
    assert daemon is not None
    victims = [daemon]
    if with_shims:
        victims += [number for number in processes.all_ours() if processes.is_ours(number)]
    for number in victims:
        if number == daemon or processes.is_ours(number):
            os.kill(number, signal.SIGKILL)

    def dead() -> bool | Pending:
        return processes.daemon() is None or Pending("dockerd still runs")

    eventually(dead, within=10, every=0.05, what="dockerd killed")


@pytest.mark.usefixtures("engine_folders")
@pytest.mark.parametrize("with_shims", [False, True], ids=["dockerd", "dockerd and its shims"])
def test_killed_it_starts_again_and_stopped_it_leaves_nothing(with_shims: bool) -> None:
    before = host_settings()
    private.start()
    with closing(DockerClient(base_url=private.address(), timeout=30)) as client:
        image_of_sleep(client)
        bridges, containers = run_containers(client)
        assert traces(bridges, containers)

    kill(with_shims=with_shims)
    private.start()
    with closing(DockerClient(base_url=private.address(), timeout=30)) as client:
        stopped = client.containers.list(all=True)
        assert [container.status for container in stopped] == ["exited", "exited"]
        for container in stopped:
            container.start()

    kill(with_shims=with_shims)
    private.stop()
    # Init may take a moment to collect what was killed.
    eventually(
        lambda: Pending(", ".join(left)) if (left := traces(bridges, containers)) else True,
        within=20,
        what="no trace of the engine",
    )
    assert host_settings() == before
    private.stop()


@pytest.mark.usefixtures("engine_folders")
def test_clean_cache_leaves_a_new_machines_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine's own engine, if there is one, keeps its images.
    monkeypatch.setattr(handle, "answering_engine", lambda: None)
    private.start()
    assert handle.clean_cache() == [str(places.data_root().parent)]
    assert not places.data_root().exists()
    assert not private.answers()
    assert handle.clean_cache() == []


@pytest.mark.usefixtures("engine_folders")
def test_stale_files_of_an_earlier_boot_are_no_obstacle() -> None:
    places.run_folder().mkdir(parents=True)
    places.pid_file().write_text("1")
    places.socket().touch()
    places.record().write_text('{"boot": "another", "bridge": "cutover31", "address": "x"}')
    places.exec_root().mkdir()
    private.start()
    assert private.answers()
    assert host.prepare().bridge != "cutover31"
