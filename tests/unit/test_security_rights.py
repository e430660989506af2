"""What a container has beyond Docker's defaults, and what its row in the list gives it."""

from __future__ import annotations

from typing import Any

import pytest

from verify.security import rights
from verify.security.rights import DEFAULT_CAPABILITIES, Container, Process

ORDINARY = Process(10001, DEFAULT_CAPABILITIES, True)


def details(mounts: list[dict[str, str]] | None = None, **host: Any) -> dict[str, Any]:
    return {"HostConfig": {"Privileged": False, **host}, "Mounts": mounts or []}


def bind(source: str) -> list[dict[str, str]]:
    return [{"Type": "bind", "Source": source}]


def test_an_ordinary_container_has_nothing() -> None:
    volume = [{"Type": "volume", "Source": "/var/lib/docker/volumes/x/_data"}]
    assert rights.rights_of(details(volume), ORDINARY, {}) == frozenset()


@pytest.mark.parametrize(
    ("seen", "right"),
    [
        (details(Privileged=True), "privileged"),
        (details(CapAdd=["CAP_NET_ADMIN"]), "capability NET_ADMIN"),
        (details(NetworkMode="host"), "host network"),
        (details(PidMode="host"), "host PID namespace"),
        (details(UsernsMode="host"), "host user namespace"),
        (details(Devices=[{"PathOnHost": "/dev/kvm"}]), "device /dev/kvm"),
        (
            details(SecurityOpt=["seccomp=unconfined"]),
            "security option seccomp=unconfined",
        ),
        (details(bind("/var/run/docker.sock")), "Docker socket"),
        (details(bind("/run/containerd/containerd.sock")), "Docker socket"),
        (details(bind("/")), "Docker socket"),
        (details(bind("/var/run/")), "Docker socket"),
        (details(bind("/etc")), "mount /etc"),
    ],
)
def test_what_the_engine_was_told_is_seen(seen: dict[str, Any], right: str) -> None:
    assert rights.rights_of(seen, ORDINARY, {}) == {right}


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ({"type": "none", "o": "bind", "device": "/etc"}, {"mount /etc"}),
        ({"type": "none", "o": "bind", "device": "/"}, {"Docker socket"}),
        ({"type": "ext4", "device": "/dev/sda1"}, {"mount /dev/sda1"}),
        ({"type": "nfs", "o": "addr=192.0.2.1", "device": ":/export"}, set()),
        ({"type": "tmpfs", "device": "tmpfs"}, set()),
        (None, set()),
    ],
)
def test_a_volume_that_is_a_folder_of_the_host_is_seen(options: Any, right: set[str]) -> None:
    mounts = [{"Type": "volume", "Name": "x", "Source": "/var/lib/docker/volumes/x/_data"}]
    volumes = rights.of_the_host([{"Name": "x", "Options": options}])
    assert rights.rights_of(details(mounts), ORDINARY, volumes) == right


@pytest.mark.parametrize(
    ("process", "right"),
    [
        (Process(0, DEFAULT_CAPABILITIES, True), "root"),
        (Process(1, DEFAULT_CAPABILITIES | {12}, True), "capability NET_ADMIN"),
        (Process(1, DEFAULT_CAPABILITIES | {63}, True), "capability 63"),
        (Process(1, frozenset(), False), "no seccomp filter"),
    ],
)
def test_what_the_kernel_gives_is_seen(process: Process, right: str) -> None:
    assert rights.rights_of(details(), process, {}) == {right}


def test_the_status_of_processes_is_read() -> None:
    text = "7 Uid 0 10001 0 0\n7 CapBnd 00000000a80425fb\n7 Seccomp 2\n9 Uid 0 0 0 0\n"
    assert rights.parse_status(text) == {7: Process(10001, DEFAULT_CAPABILITIES, True)}


def test_only_what_its_own_service_is_given_is_allowed() -> None:
    seen = [
        Container("backup", "backup.1.x", "m1", frozenset({"root"})),
        Container("web", "web.1.y", "m1", frozenset({"root", "Docker socket"})),
        Container("clean", "clean.1.z", "m1", frozenset()),
    ]
    allowed = [
        {"service": "backup", "right": "root"},
        {"service": "web", "right": "Docker socket"},
        {"service": "gone", "right": "privileged"},
    ]
    assert rights.problems(seen, allowed) == ["web on m1: root"]
