"""What each fault would do, without a cluster: its scripts, its targets, what it refuses."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from chaos import catalogue, docs, scripts
from chaos.fault import A_MANAGER, BadArgument, Plan, Power, Shell, from_json, to_json
from chaos.targets import NoTarget
from fixtures.errors import CannotProve
from tests.unit.chaos_builders import FakeView, Placed, address_of

DIGEST = "0" * 64
ANSWERS = {
    "boot_id": "boot\n1",
    "/proc/meminfo": "16000",
    "--output=avail": "15000",
    "--output=iavail": "4000",
    "HostConfig.Memory": "67108864",
    "pg_replication_slots": "1",
    "pg_is_in_recovery": "t",
    "$PEER'": "db-replica",
    "PGDATA": "/var/lib/postgresql/data",
    "stat -Lc": "regular file:100000",
    "sha256sum": f"{DIGEST}  -",
}


def some_view(**changed: Any) -> FakeView:
    values: dict[str, Any] = {
        "tasks_by_service": {
            "web": [
                Placed("m1", "c-web-1", 101, {"backend": "192.0.2.31"}),
                Placed("w1", "c-web-2", 102, {"backend": "192.0.2.32"}),
            ],
            "db": [Placed("m2", "c-db", 103, {"backend": "192.0.2.33", "database": "192.0.2.34"})],
            "alone": [Placed("m2", "c-alone", 104, {"other": "192.0.2.35"})],
        },
        "answers": ANSWERS,
        "capabilities": {"power control", "statistic", "nfqueue"},
    }
    return FakeView(**{**values, **changed})


#: Every fault at least once, with its target a worker where it takes a node.
EVERY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("node.power-off", {"node": "w1"}),
    ("node.reboot", {"node": "w1"}),
    ("node.freeze", {"node": "w1"}),
    ("node.engine-stop", {"node": "w1"}),
    ("node.engine-freeze", {"node": "w1"}),
    ("node.drain", {"node": "w1"}),
    ("node.clock-step", {"node": "w1"}),
    ("task.kill", {"service": "web"}),
    ("task.stop", {"service": "web"}),
    ("task.pause", {"service": "web"}),
    ("task.restart-loop", {"service": "web"}),
    ("task.out-of-memory", {"service": "web"}),
    ("task.memory", {"service": "web"}),
    ("network.isolate", {"node": "w1"}),
    ("network.cut", {"node": "w1", "peer": "m1"}),
    ("network.one-way", {"node": "w1", "source": "m1"}),
    ("network.partition", {"side": "a minority of the managers"}),
    ("network.port", {"node": "w1", "port": 2377}),
    ("network.port", {"node": "w1", "port": 7946}),
    ("network.port", {"node": "w1", "port": 4789}),
    ("network.loss", {"node": "w1"}),
    ("network.bandwidth", {"node": "w1"}),
    ("network.latency", {"node": "w1"}),
    ("network.service-cut", {"service": "web", "peer": "db"}),
    ("network.dns-failure", {"service": "web"}),
    ("resource.cpu", {"node": "w1", "workers": 2}),
    ("resource.memory", {"node": "w1"}),
    ("resource.disk-full", {"node": "w1", "path": "/srv/data"}),
    ("resource.inodes", {"node": "w1", "path": "/srv/data"}),
    ("resource.io-throttle", {"service": "web"}),
    ("data.postmaster-kill", {"service": "db"}),
    ("data.slot-dropped", {"service": "db", "slot": "a_replica"}),
    ("data.wal-receiver-stopped", {"service": "db"}),
    ("data.replica-promoted", {"service": "db"}),
    ("data.redis-killed-saving", {"service": "db"}),
    ("data.file-damaged", {"node": "w1", "path": "/srv/backup", "how": "truncate"}),
    ("data.file-damaged", {"node": "w1", "path": "/srv/backup", "how": "flip"}),
)
#: Not possible on a twin, so planned as on servers.
ON_SERVERS = {"node.clock-step"}


def plan_of(name: str, arguments: dict[str, Any], **changed: Any) -> Plan:
    view = some_view(is_twin=name not in ON_SERVERS, **changed)
    return catalogue.make(name, arguments).plan(view)


def shells(plan: Plan) -> list[Shell]:
    return [step for step in plan.steps if isinstance(step, Shell)]


def test_every_fault_is_looked_at_here() -> None:
    assert {name for name, _ in EVERY} == set(catalogue.known())


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_every_script_can_be_read_by_a_shell(name: str, arguments: dict[str, Any]) -> None:
    for number, step in enumerate(shells(plan_of(name, arguments))):
        texts = {
            "do": scripts.armed(step.do, step.undo, "f00d", number, 60),
            "undo": scripts.disarmed(step.undo or "true", "f00d", number),
            "in force": scripts.with_id(step.in_force, "f00d"),
            "gone": scripts.with_id(step.gone, "f00d"),
        }
        for what, text in texts.items():
            read = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True)
            assert read.returncode == 0, f"{what}: {read.stderr}\n{text}"


#: What would undo, or break, more than the fault's own.
_BLANKET = (
    r"tc qdisc (replace|change)",
    r"tc qdisc del (?!dev \"\$dev\" root handle c0fe:)",
    r"iptables (?!-w 5 -t mangle)",
    r"ipt -F(?! CUTOVER-)",
    r"ipt -X(?! CUTOVER-)",
    r"ipt -P",
    r"\b(pkill|killall)\b",
    r"docker (system|container|volume|network) prune",
    r"rm -rf? /(?:\s|$)",
    r"rm -rf? \$",
)


@pytest.mark.parametrize(("name", "arguments"), EVERY)
@pytest.mark.parametrize("pattern", _BLANKET)
def test_nothing_is_done_that_touches_more_than_its_own(
    name: str, arguments: dict[str, Any], pattern: str
) -> None:
    for step in shells(plan_of(name, arguments)):
        for text in (step.do, step.undo):
            assert not re.search(pattern, text), text


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_what_is_left_behind_carries_the_faults_id(name: str, arguments: dict[str, Any]) -> None:
    for step in shells(plan_of(name, arguments)):
        if re.search(r"iptables|setsid|\.cutover-|/run/cutover-", step.do):
            assert scripts.ID in step.do
            assert scripts.ID in step.undo


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_every_step_says_how_it_is_seen_and_every_lasting_one_how_it_is_undone(
    name: str, arguments: dict[str, Any]
) -> None:
    plan = plan_of(name, arguments)
    assert plan.steps
    for step in shells(plan):
        assert step.in_force.strip()
        assert step.undo.strip() or not step.lasting


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_what_is_touched_is_what_the_steps_touch(name: str, arguments: dict[str, Any]) -> None:
    plan = plan_of(name, arguments)
    at = {step.node for step in plan.steps} - {A_MANAGER}
    assert at <= plan.touches
    assert plan.touches
    assert plan.takes_away <= {*some_view().nodes}


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_the_ledger_gives_a_step_back_but_not_what_breaks(
    name: str, arguments: dict[str, Any]
) -> None:
    for step in plan_of(name, arguments).steps:
        found = from_json(to_json(step))
        if isinstance(step, Power):
            assert found == step
        else:
            assert isinstance(found, Shell)
            assert (found.undo, found.in_force, found.gone) == (
                step.undo,
                step.in_force,
                step.gone,
            )
            assert found.do == ""


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_a_plan_only_reads(name: str, arguments: dict[str, Any]) -> None:
    view = some_view(is_twin=name not in ON_SERVERS)
    catalogue.make(name, arguments).plan(view)
    for _, command in view.reads:
        assert re.match(r"(cat|awk|df|docker inspect|docker exec|stat|sha256sum) ", command)


@pytest.mark.parametrize(
    ("name", "arguments", "touched", "away"),
    [
        ("node.power-off", {"node": "the leader"}, {"m1"}, {"m1"}),
        ("node.drain", {"node": "w1"}, {"w1"}, {"w1"}),
        ("network.cut", {"node": "w1", "peer": "m1"}, {"w1"}, set()),
        ("network.isolate", {"node": "m2"}, {"m2"}, {"m2"}),
        ("network.port", {"node": "m2", "port": 2377}, {"m2"}, {"m2"}),
        ("network.port", {"node": "m2", "port": 7946}, {"m2"}, set()),
        # One of three managers, against the two and the worker; rules at the one.
        ("network.partition", {"side": "m2"}, {"m2"}, {"m2"}),
        # Named by the larger side, it is the same split, and the same nodes are lost.
        ("network.partition", {"side": "m1,m3,w1"}, {"m2"}, {"m2"}),
        # The smaller side holds the managers: Swarm loses the workers.
        ("network.partition", {"side": "m1,m2,m3"}, {"w1"}, {"w1"}),
    ],
)
def test_blast_radius(
    name: str, arguments: dict[str, Any], touched: set[str], away: set[str]
) -> None:
    plan = plan_of(name, arguments)
    assert (plan.touches, plan.takes_away) == (touched, away)


def test_a_partition_drops_every_pair_across_it_and_none_within() -> None:
    plan = plan_of("network.partition", {"side": "m2,w1"}, roles={**_FIVE})
    for step in shells(plan):
        assert step.node in ("m2", "w1")
        dropped = set(re.findall(r"192\.0\.2\.\d+", step.do))
        assert dropped == {address_of(name) for name in ("m1", "m3", "m4")}


_FIVE = {**dict.fromkeys(("m1", "m2", "m3", "m4"), "manager"), "w1": "worker"}


def test_one_way_leaves_the_other_way_open() -> None:
    (step,) = shells(plan_of("network.one-way", {"node": "w1", "source": "m1"}))
    assert f"-s {address_of('m1')}" in step.do
    assert f"-d {address_of('m1')}" not in step.do


def test_isolation_spares_the_harness_own_ssh_before_it_drops_anything() -> None:
    (step,) = shells(plan_of("network.isolate", {"node": "w1"}))
    rules = [line for line in step.do.splitlines() if line.startswith("ipt -A")]
    assert ["RETURN" in rule for rule in rules] == [True, True, False, False]
    assert "SSH_CONNECTION" in rules[0]


def test_the_way_into_a_chain_is_made_when_the_chain_is_whole() -> None:
    (step,) = shells(plan_of("network.cut", {"node": "w1", "peer": "m1"}))
    kinds = [line.split()[1] for line in step.do.splitlines() if line.startswith("ipt -")]
    assert kinds == ["-N", "-N", "-A", "-A", "-I", "-I"]


def test_a_loss_is_believed_only_near_its_share() -> None:
    (step,) = shells(plan_of("network.loss", {"node": "w1", "percent": 20}))
    # Of 400 packets 80 are expected; sigma is 8.
    low, high = re.findall(r"-(?:ge|le) (\d+)", step.in_force)
    assert (int(low), int(high)) == (44, 165)
    assert "--probability 0.200000" in step.do


def test_latency_uses_netem_where_the_kernel_has_it() -> None:
    with_netem = plan_of("network.latency", {"node": "w1"}, capabilities={"netem", "nfqueue"})
    without = plan_of("network.latency", {"node": "w1"})
    assert "netem delay 100ms" in shells(with_netem)[0].do
    assert "NFQUEUE" in shells(without)[0].do
    with pytest.raises(CannotProve):
        plan_of("network.latency", {"node": "w1"}, capabilities=set())


def test_a_service_is_cut_off_in_every_task_from_every_address_of_the_other() -> None:
    plan = plan_of(
        "network.service-cut",
        {"service": "web", "peer": "db"},
        virtual={"db": ["192.0.2.99"]},
    )
    assert [step.node for step in plan.steps] == ["m1", "w1"]
    for step, pid in zip(shells(plan), (101, 102), strict=True):
        assert f"nsenter -t {pid} -n iptables" in step.do
        assert set(re.findall(r"-d (\S+)", step.do)) == {"192.0.2.33", "192.0.2.34", "192.0.2.99"}


def test_a_drain_is_done_and_asked_at_a_manager() -> None:
    (step,) = shells(plan_of("node.drain", {"node": "w1"}))
    assert step.node == A_MANAGER


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("network.cut", {"node": "w1", "peer": "w1"}, "both ends are"),
        ("network.partition", {"side": "m1,m2,m3,w1"}, "every node"),
        ("network.port", {"node": "w1", "port": 22}, "none of Swarm's ports"),
        ("network.loss", {"node": "w1", "percent": 0}, "above 0"),
        ("network.loss", {"node": "w1", "percent": 101}, "at most 100"),
        ("network.bandwidth", {"node": "w1", "kilobits": 1}, "between 8 and"),
        ("network.latency", {"node": "w1", "milliseconds": 50, "jitter": 60}, "jitter"),
        ("network.latency", {"node": "w1", "milliseconds": 0}, "1 to 10000"),
        ("network.service-cut", {"service": "web", "peer": "web"}, "itself"),
        ("network.service-cut", {"service": "web", "peer": "alone"}, "share no network"),
        ("node.clock-step", {"node": "w1", "seconds": 0}, "must not be 0"),
        ("task.restart-loop", {"service": "web", "every": 0.1}, "between 0.5 and 60"),
        ("resource.cpu", {"node": "w1", "workers": 0}, "1 to 256"),
        ("resource.memory", {"node": "w1", "megabytes": 0}, "at least 1"),
        ("resource.memory", {"node": "w1", "megabytes": 15000}, "way in"),
        ("resource.io-throttle", {"service": "web", "kilobytes": 1}, "16 to"),
        ("resource.disk-full", {"node": "w1", "path": "relative"}, "absolute path"),
        ("resource.disk-full", {"node": "w1", "path": "/srv/$(reboot)"}, "absolute path"),
        ("resource.disk-full", {"node": "w1", "path": "/srv/../etc"}, "absolute path"),
        ("data.slot-dropped", {"service": "db", "slot": "x'; DROP"}, "cannot be a slot's name"),
        ("data.file-damaged", {"node": "w1", "path": "/srv/b", "how": "burn"}, "truncate or flip"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(
    name: str, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadArgument, match=words):
        plan_of(name, arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "answer", "error", "words"),
    [
        ("task.out-of-memory", {"service": "web"}, {"HostConfig": "0"}, BadArgument, "no memory"),
        ("data.slot-dropped", {"service": "db", "slot": "a"}, {"pg_": "0"}, BadArgument, "no slot"),
        ("data.replica-promoted", {"service": "db"}, {"pg_is": "f"}, BadArgument, "no replica"),
        ("data.replica-promoted", {"service": "db"}, {"echo $PEER": ""}, BadArgument, "PEER"),
        (
            "data.replica-promoted",
            {"service": "db"},
            {"readlink": "/"},
            BadArgument,
            "has its data at",
        ),
        (
            "data.file-damaged",
            {"node": "w1", "path": "/srv"},
            {"stat": "directory:4096"},
            BadArgument,
            "no file",
        ),
        (
            "data.file-damaged",
            {"node": "w1", "path": "/srv/b"},
            {"stat": "regular file:1"},
            BadArgument,
            "2 bytes",
        ),
        (
            "resource.disk-full",
            {"node": "w1", "path": "/srv"},
            {"avail": "9999999"},
            CannotProve,
            "too much to fill",
        ),
        (
            "resource.disk-full",
            {"node": "w1", "path": "/srv"},
            {"avail": ""},
            BadArgument,
            "no folder",
        ),
        (
            "resource.inodes",
            {"node": "w1", "path": "/srv"},
            {"iavail": "9999999"},
            CannotProve,
            "inodes",
        ),
        (
            "resource.inodes",
            {"node": "w1", "path": "/srv"},
            {"iavail": "0"},
            CannotProve,
            "inodes",
        ),
    ],
)
def test_a_cluster_that_it_does_not_suit_is_refused(
    name: str,
    arguments: dict[str, Any],
    answer: dict[str, str],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        plan_of(name, arguments, answers={**answer, **ANSWERS})


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("node.power-off", "power control"),
        ("node.reboot", "power control"),
        ("network.loss", "statistic"),
    ],
)
def test_a_capability_that_is_missing_is_unproven_and_not_done(name: str, missing: str) -> None:
    with pytest.raises(CannotProve, match=missing):
        plan_of(name, {"node": "w1"}, capabilities=set())


def test_what_only_a_twin_or_only_a_server_can_show() -> None:
    with pytest.raises(CannotProve, match="cannot be frozen"):
        catalogue.make("node.freeze", {"node": "w1"}).plan(some_view(is_twin=False))
    with pytest.raises(CannotProve, match="share this machine's clock"):
        catalogue.make("node.clock-step", {"node": "w1"}).plan(some_view())


@pytest.mark.parametrize("words", ["", " ", "everything", "*", "all", "nobody"])
@pytest.mark.parametrize("name", ["node.power-off", "network.isolate", "resource.cpu"])
def test_no_words_mean_every_node(name: str, words: str) -> None:
    with pytest.raises((NoTarget, BadArgument)):
        plan_of(name, {"node": words})


def test_a_service_without_a_task_is_no_target() -> None:
    with pytest.raises(NoTarget):
        plan_of("task.kill", {"service": "gone"})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("network.isolate", {"node": "m1"}),
        ("network.port", {"node": "m1", "port": "7946"}),
        ("network.bandwidth", {"node": "m1"}),
    ],
)
def test_a_network_of_one_node_cannot_be_broken(name: str, arguments: dict[str, Any]) -> None:
    alone = FakeView(roles={"m1": "manager"})
    with pytest.raises(BadArgument, match="the only node"):
        catalogue.make(name, arguments).plan(alone)


# -- the catalogue ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("node.power-of", {}, "Did you mean node.power-off"),
        ("zzz", {}, "python -m chaos list"),
        ("network.cut", {"node": "w1"}, "needs peer"),
        ("network.cut", {"node": "w1", "peer": "m1", "port": "1"}, "takes no port"),
        ("network.port", {"node": "w1", "port": "http"}, "not a whole number"),
        ("network.port", {"node": "w1", "port": "7946.5"}, "not a whole number"),
        ("network.port", {"node": "w1", "port": True}, "not a whole number"),
        ("network.loss", {"node": "w1", "percent": "many"}, "not a number"),
        ("network.loss", {"node": "w1", "percent": "nan"}, "not a number"),
        ("network.loss", {"node": "w1", "percent": "inf"}, "not a number"),
        ("node.power-off", {"node": "  "}, "not empty"),
    ],
)
def test_a_fault_that_cannot_be_made(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(BadArgument, match=re.escape(words)):
        catalogue.make(name, arguments)


def test_text_becomes_what_the_argument_is() -> None:
    fault = catalogue.make("network.port", {"node": "w1", "port": "7946"})
    assert fault.arguments() == {"node": "w1", "port": 7946}
    assert fault.label == "network.port node='w1' port=7946"


def test_every_fault_says_what_it_is_in_a_line() -> None:
    for fault in catalogue.FAULTS:
        for text in (fault.summary, fault.blast_radius):
            assert text
            assert "\n" not in text
        assert re.fullmatch(r"[a-z]+\.[a-z-]+", fault.name)


def test_the_table_in_the_docs_is_the_codes() -> None:
    page = docs.FILE.read_text(encoding="utf-8")
    assert docs.with_table(page) == page, "run `make docs`"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        docs.with_table("no table here")
