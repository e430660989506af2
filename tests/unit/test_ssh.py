"""Connections: the configuration they use, and what bounds them. No network: `ssh` is a stub."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from fixtures import folders
from fixtures.cluster import ssh
from fixtures.cluster.inventory import Inventory
from fixtures.cluster.ssh import CommandFailed, Connection, TimedBackend, socket_folder
from fixtures.errors import CutoverError, RemoteTimeout, Unreachable
from fixtures.waiting import Pending, eventually

ROOT = Path(__file__).parents[2]

# Plays the master (-M), the control commands (-O) and a session on the master; notes each call.
STUB = r"""#!/bin/sh
printf '%s\n' "$*" >> "$STUB_LOG"
for word in "$@"; do
  if [ "$previous" = -O ]; then
    [ "$STUB_CONTROL_RC" = hangs ] && exec sleep 30
    exit "${STUB_CONTROL_RC:-0}"
  fi
  [ "$word" = -M ] && master=yes
  previous=$word
done
if [ -n "$master" ]; then
  case "$STUB_MASTER" in
    refuses) echo 'Host key verification failed.' >&2; exit 255 ;;
    hangs) exec sleep 30 ;;
  esac
  echo cutover-ready
  [ "$STUB_MASTER" = deaf ] && exec sleep 30
  exec cat
fi
[ -n "$STUB_SESSION_RC" ] && { echo 'Connection closed' >&2; exit "$STUB_SESSION_RC"; }
exec sh -c "$word"
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder short enough for Unix sockets, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))
    monkeypatch.setenv("XDG_STATE_HOME", str(path))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def inventory(**m1: Any) -> Inventory:
    return Inventory.model_validate(
        {
            "cluster": "shop",
            "known_hosts": "/srv/my keys/known_hosts",
            "nodes": {
                "m1": {"address": "192.0.2.1", "role": "manager", **m1},
                "w1": {"address": "192.0.2.2", "role": "worker"},
            },
        }
    )


def effective(config: Path, node: str) -> dict[str, str]:
    """What the real ssh would do for `node`; `-G` prints it and connects nowhere."""
    done = subprocess.run(
        ["ssh", "-G", "-F", str(config), node],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


# --- configuration


def test_each_node_is_reached_as_the_inventory_says(tmp_path: Path) -> None:
    config = ssh.write_ssh_config(
        inventory(ssh_port=2222, ssh_user="ops", identity_file="/srv/my keys/id"), tmp_path
    )
    m1, w1 = effective(config, "m1"), effective(config, "w1")
    assert (m1["hostname"], m1["port"], m1["user"]) == ("192.0.2.1", "2222", "ops")
    assert (m1["identityfile"], m1["identitiesonly"]) == ("/srv/my keys/id", "yes")
    assert (w1["hostname"], w1["port"], w1["user"]) == ("192.0.2.2", "22", "root")


@pytest.mark.parametrize("node", ["m1", "w1"])
def test_only_the_inventorys_host_keys_are_trusted(tmp_path: Path, node: str) -> None:
    seen = effective(ssh.write_ssh_config(inventory(), tmp_path), node)
    assert seen["stricthostkeychecking"] in {"yes", "true"}
    assert seen["userknownhostsfile"].strip('"') == "/srv/my keys/known_hosts"
    assert seen["globalknownhostsfile"] == "/dev/null"
    assert seen["updatehostkeys"] in {"no", "false"}


@pytest.mark.parametrize("node", ["m1", "w1"])
def test_nothing_is_asked_and_nothing_waits_for_long(tmp_path: Path, node: str) -> None:
    seen = effective(ssh.write_ssh_config(inventory(), tmp_path), node)
    assert seen["batchmode"] == "yes"
    assert seen["connecttimeout"] == str(ssh.CONNECT_SECONDS)
    assert int(seen["serveraliveinterval"]) * int(seen["serveralivecountmax"]) <= 10
    assert seen["forwardagent"] == "no"
    assert seen["exitonforwardfailure"] == "yes"
    assert seen["streamlocalbindunlink"] == "yes"


# --- socket folders


def test_the_socket_folder_is_private_and_this_processs_own(home: Path) -> None:
    folder = socket_folder("shop")
    assert folder.parent == home / "cutover" / "clusters" / "shop" / "run"
    assert folder.name.startswith(f"{os.getpid()}-")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_each_opening_has_a_folder_of_its_own(home: Path) -> None:
    assert socket_folder("shop") != socket_folder("shop")


def test_sockets_of_dead_processes_are_dropped_and_of_living_ones_kept(home: Path) -> None:
    run = folders.cluster_folder("shop") / "run"
    child = subprocess.Popen(["true"])
    child.wait()
    dead, living, other = run / str(child.pid), run / str(os.getppid()), run / "notes"
    for folder in (dead, living, other):
        folder.mkdir(parents=True)
        (folder / "m1.ctl").touch()
    socket_folder("shop")
    assert [folder.exists() for folder in (dead, living, other)] == [False, True, True]


def test_a_folder_too_deep_for_sockets_is_replaced_by_a_short_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ("deep" * 20)))
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    folder = socket_folder("shop")
    assert folder.parent.parent == home
    assert folder.stat().st_mode & 0o777 == 0o700


def test_short_folders_of_dead_processes_are_dropped_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ("deep" * 20)))
    program = "from fixtures.cluster.ssh import socket_folder; print(socket_folder('shop'))"
    dead = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.strip()
    assert Path(dead).parent.parent == home
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    socket_folder("shop")
    assert not Path(dead).exists()


def test_two_clusters_share_no_short_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ("deep" * 20)))
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    assert socket_folder("shop") != socket_folder("mall")


def test_a_short_folder_that_others_can_write_is_not_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ("deep" * 20)))
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    trap = home / f"cutover-{os.geteuid()}"
    trap.mkdir()
    trap.chmod(0o777)
    try:
        parents = socket_folder("shop").relative_to(home).parents
    except CutoverError:
        return
    assert all((home / parent).stat().st_mode & 0o022 == 0 for parent in parents)


@pytest.mark.parametrize("length", [18, 63])
def test_the_control_socket_of_a_long_name_fits(length: int) -> None:
    folder = Path("/" + "x" * (ssh._LONGEST_SOCKET_FOLDER - 1), "4194304")
    name = "n" * length
    control = Connection(name, folder / "ssh_config", folder)._control
    assert len(str(control)) + 17 <= 107


# --- connections


@pytest.fixture
def log(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The calls of the stub, one a line; with it the stub is the first `ssh` in PATH."""
    stub = home / "bin" / "ssh"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    calls = home / "calls"
    calls.touch()
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB_LOG", str(calls))
    return calls


@pytest.fixture
def connection(home: Path, log: Path) -> Iterator[Connection]:
    connection = Connection("m1", home / "ssh_config", home)
    yield connection
    connection.close()


def masters(log: Path) -> int:
    return sum(" -M " in call for call in log.read_text().splitlines())


def ended(pid: int) -> bool | Pending:
    """True when no process of that id runs (one that only waits to be reaped has ended)."""
    try:
        state = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z" or Pending(f"process {pid} is in state {state}")


def test_a_command_gives_back_what_it_left(connection: Connection) -> None:
    done = connection.run("echo out; echo err >&2")
    assert (done.rc, done.stdout, done.stderr) == (0, "out\n", "err\n")
    assert done.command == "echo out; echo err >&2"


def test_a_command_is_quoted_for_the_nodes_shell(connection: Connection) -> None:
    assert connection.run("""printf '%s|' "a b" 'c"d' "$((1 + 1))" """).stdout == 'a b|c"d|2|'


def test_standard_input_is_given_and_otherwise_empty(connection: Connection) -> None:
    assert connection.run("cat", stdin=b"given").stdout == "given"
    assert connection.run("cat").stdout == ""


def test_outputs_that_are_not_text_do_not_break_it(connection: Connection) -> None:
    assert connection.run(r"printf 'a\377b'").stdout == "a�b"


def test_one_master_serves_all_commands(connection: Connection, log: Path) -> None:
    connection.run("true")
    connection.run("true")
    assert masters(log) == 1
    assert connection.generation == 1


def test_every_call_uses_the_harnesss_configuration_and_socket(
    connection: Connection, log: Path, home: Path
) -> None:
    connection.run("true")
    for call in log.read_text().splitlines():
        assert call.startswith(f"-F {home}/ssh_config -S {home}/m1.ctl ")


def test_the_master_forwards_the_docker_socket(
    connection: Connection, log: Path, home: Path
) -> None:
    connection.open()
    assert f"-L {home}/m1.docker:/var/run/docker.sock m1 " in log.read_text()


def test_a_master_that_died_is_replaced(connection: Connection, log: Path) -> None:
    connection.run("true")
    assert connection._master is not None
    connection._master.kill()
    connection._master.wait()
    connection.run("true")
    assert masters(log) == 2
    assert connection.generation == 2


def test_closing_ends_the_master_and_is_safe_to_repeat(connection: Connection) -> None:
    connection.close()
    connection.open()
    master = connection._master
    assert master is not None
    connection.close()
    connection.close()
    assert master.returncode is not None
    assert connection.run("echo again").stdout == "again\n"


def test_closing_removes_the_sockets(connection: Connection, home: Path) -> None:
    connection.open()
    for name in ("m1.ctl", "m1.docker"):
        (home / name).touch()
    connection.close()
    assert not (home / "m1.ctl").exists()
    assert not (home / "m1.docker").exists()


def test_another_exit_status_fails_with_the_commands_last_words(connection: Connection) -> None:
    with pytest.raises(CommandFailed, match=r"node m1: exit status 3 from: .* disk is full"):
        connection.run("echo disk is full >&2; exit 3")


def test_a_failure_without_errors_shows_the_output(connection: Connection) -> None:
    with pytest.raises(CommandFailed, match="only this"):
        connection.run("echo only this; exit 1")
    with pytest.raises(CommandFailed, match=r"\(no output\)"):
        connection.run("exit 1")


def test_an_unchecked_command_gives_its_exit_status(connection: Connection) -> None:
    assert connection.run("exit 3", check=False).rc == 3


@pytest.mark.parametrize("check", [True, False])
def test_a_lost_connection_is_never_taken_for_an_exit_status(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    connection.open()
    monkeypatch.setenv("STUB_SESSION_RC", "255")
    with pytest.raises(Unreachable, match="node m1: the ssh connection failed: Connection closed"):
        connection.run("true", check=check)


def test_a_command_that_hangs_ends_in_time(connection: Connection) -> None:
    connection.open()
    started = time.monotonic()
    with pytest.raises(RemoteTimeout, match=r"node m1: no answer within 0\.3 s to: sleep 30"):
        connection.run("sleep 30", timeout=0.3)
    assert 0.3 <= time.monotonic() - started < 2


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("exec >&- 2>&-; exec sleep 30", id="closed outputs"),
        # As the real master does, something out of reach keeps the outputs open.
        pytest.param("setsid sleep 4 & exec sleep 30", id="outputs held open"),
        pytest.param("trap '' TERM; sleep 30; true", id="deaf to signals"),
    ],
)
def test_it_ends_in_time_whatever_the_command_does(connection: Connection, command: str) -> None:
    connection.open()
    started = time.monotonic()
    with pytest.raises(RemoteTimeout):
        connection.run(command, timeout=0.3)
    assert time.monotonic() - started < 2


def test_a_timeout_leaves_no_open_file(connection: Connection) -> None:
    connection.open()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(RemoteTimeout):
        connection.run("exec sleep 30", timeout=0.1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_long_command_is_shortened_in_the_message(connection: Connection) -> None:
    with pytest.raises(RemoteTimeout) as caught:
        connection.run(f"sleep 30 # {'x' * 1000}", timeout=0.1)
    assert len(str(caught.value)) < 400


def test_what_hangs_on_the_node_is_ended_there_too(connection: Connection, home: Path) -> None:
    pid_file = home / "pid"
    with pytest.raises(RemoteTimeout):
        connection.run(f"echo $$ > {pid_file}; exec sleep 30", timeout=0.2)
    pid = int(pid_file.read_text())
    eventually(lambda: ended(pid), within=5, every=0.05, what="the remote command's end")


def test_after_a_timeout_the_connection_serves_on(connection: Connection, log: Path) -> None:
    with pytest.raises(RemoteTimeout):
        connection.run("sleep 30", timeout=0.1)
    assert connection.run("echo on").stdout == "on\n"
    assert masters(log) == 1


def test_a_refused_connection_says_why_and_how_to_try_by_hand(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("STUB_MASTER", "refuses")
    with pytest.raises(Unreachable, match="Host key verification failed") as caught:
        connection.run("true")
    assert caught.value.where == "node m1"
    assert f"ssh -F {home}/ssh_config m1" in caught.value.remedy


def test_a_node_that_does_not_answer_is_unreachable_in_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_MASTER", "hangs")
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", -1.7)  # the watchdog adds 2
    started = time.monotonic()
    with pytest.raises(Unreachable, match="no answer"):
        connection.open()
    assert time.monotonic() - started < 2
    assert connection._master is None


def test_an_open_connection_outlives_the_time_it_had_to_connect(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", -1.5)  # the watchdog adds 2
    connection.open()
    master = connection._master
    assert master is not None
    with pytest.raises(subprocess.TimeoutExpired):
        master.wait(timeout=0.8)


def test_a_master_that_does_not_listen_is_closed_in_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_MASTER", "deaf")
    connection.open()
    started = time.monotonic()
    connection.close()
    assert time.monotonic() - started < 2


def test_a_node_that_came_back_is_reached_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_MASTER", "refuses")
    with pytest.raises(Unreachable):
        connection.run("true")
    monkeypatch.delenv("STUB_MASTER")
    assert connection.run("echo back").stdout == "back\n"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_master_ends_with_the_harness(home: Path, log: Path, end: signal.Signals) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from fixtures.cluster.ssh import Connection\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "connection = Connection('m1', folder / 'ssh_config', folder)\n"
        "connection.open()\n"
        "print(connection._master.pid, flush=True)\n"
        "time.sleep(30)\n"
    )
    harness = subprocess.Popen(
        [sys.executable, "-c", program, str(home)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with harness:
        assert harness.stdout is not None
        master = int(harness.stdout.readline())
        assert ended(master) is not True
        harness.send_signal(end)
        harness.wait(timeout=10)
        eventually(lambda: ended(master), within=5, every=0.05, what="the master's end")


def test_a_forward_is_opened_and_cancelled(connection: Connection, log: Path, home: Path) -> None:
    local = home / "s"
    with connection.forwarded("198.51.100.7", 5432, local) as path:
        assert path == local
        local.touch()
        assert "-O cancel" not in log.read_text()
    calls = log.read_text()
    assert masters(log) == 1
    assert f"-O forward -L {local}:198.51.100.7:5432 m1" in calls
    assert f"-O cancel -L {local}:198.51.100.7:5432 m1" in calls
    assert not local.exists()


def test_a_forward_is_cancelled_when_its_user_fails(
    connection: Connection, log: Path, home: Path
) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        connection.forwarded("198.51.100.7", 5432, home / "s"),
    ):
        raise ZeroDivisionError
    assert "-O cancel" in log.read_text()


def test_a_master_that_does_not_answer_ends_a_forward_in_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    connection.open()
    monkeypatch.setenv("STUB_CONTROL_RC", "hangs")
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(RemoteTimeout, match="the ssh master does not answer"),
        connection.forwarded("198.51.100.7", 5432, home / "s"),
    ):
        pass


def test_a_forward_that_is_refused_is_unreachable(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    connection.open()
    monkeypatch.setenv("STUB_CONTROL_RC", "255")
    with (
        pytest.raises(Unreachable, match="cannot forward"),
        connection.forwarded("198.51.100.7", 5432, home / "s"),
    ):
        pass


def test_a_missing_ssh_client_is_the_users_mistake(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("PATH", str(home / "empty"))
    with pytest.raises(CutoverError, match="ssh"):
        connection.open()


# --- testinfra over a connection


def test_testinfra_gets_status_and_outputs(connection: Connection) -> None:
    host = Host(TimedBackend(connection, 5.0))
    done = host.run("echo %s; exit 4", "a b")
    assert (done.rc, done.stdout) == (4, "a b\n")


def test_testinfra_does_not_wait_for_a_paused_node(connection: Connection) -> None:
    connection.open()
    host = Host(TimedBackend(connection, 0.3))
    started = time.monotonic()
    with pytest.raises(RemoteTimeout):
        host.run("sleep 30")
    assert time.monotonic() - started < 2


def test_a_commands_input_can_stay_open_while_it_runs(connection: Connection) -> None:
    command = "head -c 3; timeout 0.3 cat; echo $?"
    assert connection.run(command, stdin=b"abc").stdout == "abc0\n"
    assert connection.run(command, stdin=b"abc", stdin_stays_open=True).stdout == "abc124\n"
