"""Secrets: the forms in which one is looked for, what is found where, and what proves nothing."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.cluster.ssh import Completed
from fixtures.errors import CutoverError
from verify.security import at_rest, hiding_places, mounts, search, secret_values
from verify.security.at_rest import Store
from verify.security.hiding_places import Look
from verify.security.mounts import Mount
from verify.security.secret_values import Secret, forms, found_in

VALUE = "Pa55+word/with=signs&so"
SECRET = Secret("db_password", VALUE)
KEY = "\n".join(
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ",
        "the-public-half-of-it",
        "private-line-one",
        "private-line-two",
        "-----END OPENSSH PRIVATE KEY-----",
    ]
)


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "\n"])
def test_it_is_found_in_base64_whatever_stands_beside_it(before: str, after: str) -> None:
    text = f"{before}{VALUE}{after}".encode()
    for coded in (base64.b64encode(text), base64.urlsafe_b64encode(text)):
        assert found_in(b"Basic " + coded + b"==", {SECRET: forms(SECRET)}) == ["db_password"]


@pytest.mark.parametrize(
    "content",
    [VALUE, quote(VALUE, safe=""), VALUE.encode().hex(), json.dumps({"a": VALUE})],
)
def test_it_is_found_as_it_is_and_encoded(content: str) -> None:
    assert found_in(f"..{content}..".encode(), {SECRET: forms(SECRET)}) == ["db_password"]


def test_it_is_found_in_what_the_engine_logs() -> None:
    """Its driver json-file writes no <, > or & as it is (moby, jsonlogbytes.go)."""
    printed = Secret("db_password", 'one&two<three>"vier\\fünf')
    logged = r'{"log":"password one\u0026two\u003cthree\u003e\"vier\\fünf\n","stream":"stdout"}'
    assert found_in(logged.encode(), {printed: forms(printed)}) == ["db_password"]


def test_other_content_does_not_hold_it() -> None:
    other = Secret("other", "Another-password")
    assert found_in(VALUE.encode(), {other: forms(other)}) == []


def test_of_a_key_only_what_is_its_own_is_looked_for() -> None:
    patterns = forms(Secret("key", KEY))
    assert b"private-line-two" in patterns
    assert not any(b"BEGIN" in form or b"b3BlbnNzaC1rZXk" in form for form in patterns)
    assert b"the-public-half-of-it" not in patterns


def test_one_too_short_is_said_to_be() -> None:
    short = Secret("pin", "1234567")
    assert forms(short) == frozenset()
    assert secret_values.unsearchable([short, SECRET]) == ["pin"]


def test_what_nodes_say_is_read_and_never_shown() -> None:
    coded = base64.b64encode(f"{VALUE}\n".encode()).decode()
    found = secret_values.parse(f"db_password {coded}\nempty \n")
    assert found == [SECRET]
    assert VALUE not in repr(found)
    assert secret_values.missing(found, ["db_password", "redis_password"]) == ["redis_password"]


# -- the search --------------------------------------------------------------------------------


class Here:
    """A machine that is this one."""

    name = "here"

    def __init__(self, tamper: tuple[str, str] = ("", "")) -> None:
        self.commands: list[str] = []
        self._tamper = tamper

    def run(self, command: str, *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        self.commands.append(command)
        done = subprocess.run(
            ["sh", "-c", command.replace(*self._tamper) if self._tamper[0] else command],
            input=stdin,
            capture_output=True,
            check=True,
            timeout=timeout,
        )
        return Completed(command, 0, done.stdout.decode(), done.stderr.decode())


def listing(folder: Path) -> str:
    return f"find {folder} -type f -print0"


def test_files_are_searched_and_the_secrets_named(tmp_path: Path) -> None:
    (tmp_path / "in clear").write_text(f"PASSWORD={VALUE}\n")
    (tmp_path / "coded").write_bytes(b"\0" + base64.b64encode(f"u:{VALUE}".encode()))
    (tmp_path / "clean").write_text("nothing")
    machine = Here()
    found = search.search(machine, listing(tmp_path), [SECRET, Secret("other", "elsewhere-1")])  # type: ignore[arg-type]
    assert found.searched == 3
    assert found.files == {
        str(tmp_path / "in clear"): ("db_password",),
        str(tmp_path / "coded"): ("db_password",),
    }
    assert all(VALUE not in command for command in machine.commands)
    assert not any(VALUE in problem for problem in found.problems("here"))
    assert not list(Path("/dev/shm").glob("cutover-search.*"))


def test_nothing_found_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "clean").write_text("nothing")
    found = search.search(Here(), listing(tmp_path), [SECRET])  # type: ignore[arg-type]
    assert (found.files, found.searched) == ({}, 1)


def test_rotated_logs_are_searched_as_well(tmp_path: Path) -> None:
    (tmp_path / "app.log.2.gz").write_bytes(gzip.compress(f"login with {VALUE}\n".encode()))
    (tmp_path / "app.log.3.gz").write_bytes(gzip.compress(b"nothing"))
    (tmp_path / "broken.gz").write_bytes(b"not compressed")
    found = search.search(Here(), listing(tmp_path), [SECRET], unzip=True)  # type: ignore[arg-type]
    assert found.files == {str(tmp_path / "app.log.2.gz"): ("db_password",)}
    assert found.searched == 3
    assert not search.search(Here(), listing(tmp_path), [SECRET]).files  # type: ignore[arg-type]


@pytest.mark.parametrize("tool", ["xargs -0 -r -a", "gzip -dc"])
def test_a_search_that_is_blind_is_an_error(tmp_path: Path, tool: str) -> None:
    blind = Here((tool, "true"))
    with pytest.raises(CutoverError, match="its own control"):
        search.search(blind, listing(tmp_path), [SECRET], unzip=True)  # type: ignore[arg-type]


# -- the places --------------------------------------------------------------------------------


def test_things_of_the_engine_are_searched_by_name() -> None:
    things = [
        {"Name": "/leaky", "Config": {"Env": [f"PASSWORD={VALUE}"]}},
        {"Name": "/clean", "Config": {"Env": []}},
    ]
    assert hiding_places.in_things(things, [SECRET]) == ["db_password in leaky"]


def test_a_node_of_which_nothing_was_read_is_not_searched() -> None:
    assert hiding_places.together([Look(searched=4), Look(searched=0)]).searched == 0
    assert hiding_places.together([Look(["x"], 4), Look([], 2, ["y"])]) == Look(["x"], 6, ["y"])
    assert hiding_places.together([]).searched == 0


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(CutoverError, match="is no place"):
        hiding_places.look(None, "the moon", [], Path())  # type: ignore[arg-type]


def test_configs_are_decoded() -> None:
    coded = base64.b64encode(VALUE.encode()).decode()
    empty: Any = list
    api = SimpleNamespace(
        api=SimpleNamespace(
            services=empty, tasks=empty, secrets=empty, networks=empty, nodes=empty,
            configs=lambda: [{"ID": "c1", "Spec": {"Name": "init.sh", "Data": coded}}],
        )
    )  # fmt: skip
    things = hiding_places._specifications(api)  # type: ignore[arg-type]
    assert "db_password in config init.sh" in hiding_places.in_things(things, [SECRET])


def test_reports_and_the_processes_of_a_run_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, reports = tmp_path / "home", tmp_path / "reports"
    for folder in (home, reports / "run"):
        folder.mkdir(parents=True)
    (reports / "run" / "signoff.md").write_text(f"it says {VALUE}")
    (home / "id_backups").write_text(VALUE)
    (home / "faults.jsonl").write_text("{}")
    monkeypatch.setattr(hiding_places.folders, "cluster_folder", lambda _: home)
    cluster: Any = SimpleNamespace(name="twin-x")
    command = ["sh", "-c", "read line; true", VALUE]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        look = hiding_places.look(cluster, "reports and ledgers of the harness", [SECRET], reports)
        assert child.stdin is not None
        child.stdin.close()
    assert look.problems == [
        f"db_password in {reports}/run/signoff.md on the harness's machine",
        f"db_password in /proc/{child.pid}/cmdline on the harness's machine",
    ]
    assert look.searched >= 6


# -- mounts ------------------------------------------------------------------------------------

LINE = "web.1.abc shop_web 99 88 0:54 /id /run/secrets/db_password {} - {} tmpfs rw"
WANTED = {"shop_web": ["/run/secrets/db_password"]}


def test_mountinfo_is_read() -> None:
    (mount,) = mounts.parse(LINE.format("ro,relatime shared:1", "tmpfs"))
    assert mount == Mount(
        "web.1.abc", "shop_web", "/run/secrets/db_password", "tmpfs", ("ro", "relatime")
    )


@pytest.mark.parametrize(
    ("options", "kind", "problem"),
    [
        ("ro,relatime", "tmpfs", ""),
        ("rw,relatime", "tmpfs", "may write"),
        ("ro,relatime", "ext4", "on ext4, not in memory"),
    ],
)
def test_a_secret_is_a_file_in_memory_that_is_only_read(
    options: str, kind: str, problem: str
) -> None:
    found, checked = mounts.problems(WANTED, mounts.parse(LINE.format(options, kind)))
    assert checked == 1
    assert len(found) == bool(problem)
    assert all(problem in each for each in found)


def test_a_secret_elsewhere_or_nowhere_is_found() -> None:
    seen = mounts.parse(LINE.format("ro", "tmpfs"))
    elsewhere, _ = mounts.problems({"shop_web": ["/etc/password"]}, seen)
    assert elsewhere == ["web.1.abc has a secret at /etc/password"]
    nowhere, _ = mounts.problems({"shop_web": ["/run/secrets/other"]}, seen)
    assert nowhere == ["web.1.abc has no mount at /run/secrets/other"]
    assert mounts.problems({}, seen) == ([], 0)


@pytest.mark.parametrize(
    ("target", "kind", "problem"),
    [
        ("/run/secrets/db_password", "ext4", "has /run/secrets/db_password on ext4, not in memory"),
        ("/run/secrets", "btrfs", "has /run/secrets on btrfs, not in memory"),
        ("/run/secrets/scratch", "tmpfs", ""),
        ("/run/secretsauce", "ext4", ""),
    ],
)
def test_a_file_from_the_disk_is_found_that_no_specification_calls_a_secret(
    target: str, kind: str, problem: str
) -> None:
    line = LINE.replace("/run/secrets/db_password", target)
    found, checked = mounts.problems({}, mounts.parse(line.format("ro", kind)))
    assert found == ([f"web.1.abc {problem}"] if problem else [])
    assert checked == bool(problem)


def test_targets_are_those_of_the_specification() -> None:
    spec = {
        "Name": "shop_web",
        "TaskTemplate": {
            "ContainerSpec": {"Secrets": [{"File": {"Name": "a"}}, {"File": {"Name": "/etc/b"}}]}
        },
    }
    assert mounts.targets([{"Spec": spec}]) == {"shop_web": ["/run/secrets/a", "/etc/b"]}


# -- at rest -----------------------------------------------------------------------------------


def store(**changed: Any) -> Store:
    values: dict[str, Any] = {
        "manager": "m1",
        "leaks": (),
        "control": ("/var/lib/docker/swarm/state.json",),
        "logs": 2,
        "sealed_by": frozenset({"raft-dek", "kek-version"}),
        "key_mode": "600 root",
    }
    return Store(**{**values, **changed})


def test_a_sealed_store_is_good() -> None:
    assert store().problems() == store().doubts() == []


def test_a_store_in_clear_and_a_key_for_all_are_problems() -> None:
    (leak,) = store(leaks=("db_password in /raft/wal",)).problems()
    assert leak == "db_password in /raft/wal on m1"
    (key,) = store(key_mode="644 root").problems()
    assert "mode 644 root" in key


@pytest.mark.parametrize("changed", [{"control": ()}, {"logs": 0}, {"sealed_by": frozenset()}])
def test_what_was_not_seen_proves_nothing(changed: dict[str, Any]) -> None:
    assert len(store(**changed).doubts()) == 1


def test_headers_of_a_key_are_read_without_what_they_say() -> None:
    text = "-----BEGIN PRIVATE KEY-----\nkek-version: 10\nraft-dek: EiDHY7==\n\nMIGH\n"
    assert at_rest.headers(text) == {"kek-version", "raft-dek"}


def test_the_statement_says_what_autolock_costs() -> None:
    assert "lies beside it" in at_rest.statement(False, [])
    assert "docker swarm unlock" in at_rest.statement(True, [])
    assert "swap of a, b" in at_rest.statement(False, ["b", "a"])
