from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from fixtures.errors import CutoverError
from fixtures.stacks import catalogue
from fixtures.stacks import deploy as stacks
from fixtures.stacks.deploy import Replicas, Settings
from fixtures.waiting import NeverTrue

IMAGES = {name: f"img/{name}" for name in ("web", "postgres", "pgbouncer", "redis", "haproxy")}


@dataclass
class Done:
    stdout: str = ""
    rc: int = 0
    stderr: str = ""


@dataclass
class Manager:
    """Answers the commands whose beginning it knows, and records all; the rest succeed, silent."""

    answers: dict[str, Done | Callable[[], Done]] = field(default_factory=dict)
    sent: list[tuple[str, bytes | None]] = field(default_factory=list)

    def __call__(self, cmd: str, *, stdin: bytes | None, timeout: float) -> Done:
        assert timeout > 0
        self.sent.append((cmd, stdin))
        for beginning, answer in self.answers.items():
            if cmd.startswith(beginning):
                return answer() if callable(answer) else answer
        return Done()

    def commands(self, containing: str) -> list[str]:
        return [command for command, _ in self.sent if containing in command]


def test_everything_is_made_before_the_first_stack() -> None:
    manager = Manager()
    stacks.deploy_all(manager, Settings(images=IMAGES))
    steps = [command for command, _ in manager.sent]
    first_deploy = next(i for i, command in enumerate(steps) if "stack deploy" in command)
    assert not [command for command in steps[first_deploy:] if " create " in command]
    deployed = [command.rsplit(" ", 1)[1] for command in steps[first_deploy:]]
    assert deployed == list(catalogue.STACKS)


def test_stack_travels_on_stdin_with_its_variables_quoted() -> None:
    manager = Manager()
    stacks.deploy_together(manager, [("edge", "text", {"B": "two words", "A": "$(reboot)"})])
    command, stdin = manager.sent[-1]
    assert command == (
        "env A='$(reboot)' B='two words' docker stack deploy"
        " --resolve-image never --prune -c - edge"
    )
    assert stdin == b"text"


def test_secret_values_never_stand_on_a_command_line() -> None:
    manager = Manager()
    created = stacks.deploy_all(manager, Settings(images=IMAGES))
    assert set(created) == set(catalogue.SECRETS)
    assert len(set(created.values())) == len(created)
    for value in created.values():
        assert len(value) >= 32
        assert not manager.commands(value)
        assert [stdin for _, stdin in manager.sent if stdin == value.encode()]


def test_what_exists_is_left_alone() -> None:
    manager = Manager(
        {
            "docker network ls": Done("backend\ndatabase\n"),
            "docker secret ls": Done("redis_password\n"),
            "docker config ls": Done(stacks.config_name("haproxy.cfg")),
        }
    )
    assert stacks.create_networks(manager, mtu=1350, encrypted=False) == ["monitoring", "public"]
    assert "redis_password" not in stacks.create_secrets(manager)
    stacks.create_configs(manager)
    assert len(manager.commands("config create")) == len(catalogue.CONFIGS) - 1


def test_network_options() -> None:
    manager = Manager()
    stacks.create_networks(manager, mtu=1350, encrypted=True)
    command = manager.commands("network create")[0]
    assert "--opt com.docker.network.driver.mtu=1350" in command
    assert "--opt encrypted" in command
    assert "--attachable" not in command
    plain = Manager()
    stacks.create_networks(plain, mtu=None, encrypted=False)
    assert "--opt" not in plain.commands("network create")[0]


def test_a_config_is_named_by_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stacks.config_name("haproxy.cfg")
    monkeypatch.setattr(catalogue, "config_content", lambda _: b"changed")
    assert stacks.config_name("haproxy.cfg") != before
    assert len(before) <= 64, "Swarm's limit"


def test_a_stack_of_somebody_else_is_never_touched() -> None:
    manager = Manager(
        {
            "docker service ls": Done("id1 id2"),
            "docker service inspect": Done("data_mine data data\ndata_theirs data \n"),
        }
    )
    with pytest.raises(CutoverError, match="data_theirs") as caught:
        stacks.deploy_all(manager, Settings(images=IMAGES))
    assert caught.value.remedy
    assert not manager.commands("create")
    assert not manager.commands("stack deploy")


def test_other_peoples_other_stacks_do_not_matter() -> None:
    manager = Manager(
        {"docker service ls": Done("id1"), "docker service inspect": Done("gitlab_web gitlab \n")}
    )
    stacks.deploy_together(manager, [("data", "", {})])
    assert manager.commands("stack deploy")


def test_a_failed_deployment_says_what_swarm_said() -> None:
    manager = Manager({"env ": Done(rc=1, stderr="network not found\n")})
    with pytest.raises(CutoverError, match="stack edge: docker stack deploy failed: network not"):
        stacks.deploy_together(manager, [("edge", "", {})])


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (Settings(images={}), "Settings.images"),
        (Settings(images=IMAGES, endpoint_mode="VIP"), "Settings.endpoint_mode"),
        (Settings(images=IMAGES, port_mode="mesh"), "Settings.port_mode"),
        (Settings(images=IMAGES, endpoint_mode="dnsrr"), "Settings.port_mode"),
    ],
)
def test_wrong_settings_are_named(settings: Settings, where: str) -> None:
    with pytest.raises(CutoverError) as caught:
        settings.environment()
    assert caught.value.where == where
    assert caught.value.remedy


def test_environment_scales_memory_and_lets_the_new_edge_start_first_in_every_port_mode() -> None:
    plan = Settings(images=IMAGES).environment()
    twin = Settings(images=IMAGES, endpoint_mode="dnsrr", port_mode="host", memory_divisor=8)
    small = twin.environment()
    assert plan["CUTOVER_POSTGRES_LIMIT_MB"] == "3072"
    assert small["CUTOVER_POSTGRES_LIMIT_MB"] == "384"
    assert plan["CUTOVER_EDGE_UPDATE_ORDER"] == "start-first"
    assert small["CUTOVER_EDGE_UPDATE_ORDER"] == "start-first"
    assert plan["NETCHECK_IMAGE"] == "img/web"


def test_overrides_are_strongest() -> None:
    settings = Settings(images={**IMAGES, "netcheck": "py"}, overrides={"WEB_VERSION": "2"})
    assert settings.environment()["WEB_VERSION"] == "2"
    assert settings.environment()["NETCHECK_IMAGE"] == "py"


def listing(counts: dict[str, str]) -> Done:
    return Done("\n".join(f"{json.dumps(name)} {json.dumps(c)}" for name, c in counts.items()))


def test_replicas_are_read_with_their_remarks() -> None:
    manager = Manager({"docker service ls": listing({"a_b": "1/2 (max 1 per node)", "c_d": "0/0"})})
    assert stacks.replicas(manager) == {"a_b": Replicas(1, 2), "c_d": Replicas(0, 0)}


def running(**changes: str) -> dict[str, str]:
    full = {
        entry.full_name: f"{entry.replicas or 4}/{entry.replicas or 4}"
        for entry in catalogue.SERVICES
    }
    return {**full, **changes}


def cluster(counts: dict[str, str], update: str = "||") -> Manager:
    return Manager(
        {
            "docker service ls -q": Done("id1"),
            "docker service ls --format": listing(counts),
            "docker service inspect": Done(update),
            "docker service ps": Done("edge.1 on hpr: Pending 3 s ago no suitable node\n"),
        }
    )


def test_waiting_ends_when_all_run() -> None:
    assert stacks.wait_running(cluster(running()), within=1)["edge_edge"] == Replicas(1, 1)


@pytest.mark.parametrize(
    ("manager", "reason"),
    [
        (cluster(running(edge_edge="0/1")), "edge_edge 0/1"),
        (cluster({k: v for k, v in running().items() if k != "edge_edge"}), "edge_edge not deploy"),
        (cluster(running(netcheck_netcheck="0/0")), "netcheck_netcheck 0/0"),
        (cluster(running(), "edge_edge|updating|"), "edge_edge still updating"),
    ],
)
def test_waiting_says_what_is_missing_and_what_swarm_says(manager: Manager, reason: str) -> None:
    with pytest.raises(NeverTrue, match=f"(?s){reason}.*no suitable node"):
        stacks.wait_running(manager, within=0)


def test_a_rolled_back_update_does_not_count_as_running() -> None:
    manager = cluster(running(), "edge_edge|rollback_completed|task failed | twice")
    with pytest.raises(CutoverError, match=r"rollback_completed: task failed \| twice"):
        stacks.wait_running(manager, within=1)


def owner_of(**owned: list[str]) -> Manager:
    """A manager from whose listings things vanish once they are removed."""
    manager = Manager()

    def removed(kind: str) -> Done:
        owned[kind].clear()
        return Done()

    for kind in owned:
        manager.answers[f"docker {kind} rm"] = lambda kind=kind: removed(kind)  # type: ignore[misc]
        manager.answers[f"docker {kind} ls"] = lambda kind=kind: Done("\n".join(owned[kind]))  # type: ignore[misc]
    return manager


def test_removing_keeps_data_and_the_secrets_that_open_it() -> None:
    manager = owner_of(service=["id1"], config=["c"], network=["backend"], secret=["s"])
    stacks.remove_all(manager, within=5)
    assert manager.commands(" rm ") == [
        "docker service rm id1",
        "docker config rm c",
        "docker network rm backend",
    ]


def test_removing_from_the_nodes_takes_the_data_along() -> None:
    manager = owner_of(service=[], config=[], network=[], secret=["s"])
    node = owner_of(volume=["data_gibd-redis-data"])
    stacks.remove_all(manager, nodes=[node], within=5)
    assert manager.commands(" rm ") == ["docker secret rm s"]
    assert node.commands(" rm ") == ["docker volume rm data_gibd-redis-data"]
    assert all("label=cutover.owned" in command for command in node.commands(" ls "))


def test_secrets_are_read_back_from_the_databases() -> None:
    node = Manager({"docker ps": Done("c1\n"), "docker exec c1 cat": Done("value\n")})
    assert stacks.read_secrets(node) == dict.fromkeys(catalogue.SECRETS, "value")


def test_secrets_of_databases_that_do_not_run_here() -> None:
    with pytest.raises(CutoverError, match="no container of data_gibd-postgres runs here"):
        stacks.read_secrets(Manager())


def test_stacks_are_deployed_together_and_looked_at_once() -> None:
    manager = Manager(
        {"docker service ls -q": Done("id1\n"), "docker service inspect": Done("x y y\n")}
    )
    stacks.deploy_together(manager, [(name, name, {"A": "1"}) for name in ("one", "two", "three")])
    assert len(manager.commands("service inspect")) == 1
    assert sorted(c.rsplit(" ", 1)[1] for c in manager.commands("stack deploy")) == [
        "one",
        "three",
        "two",
    ]


def test_several_stacks_are_waited_for_at_once() -> None:
    counts = iter(["0/1", "1/1", "1/1"])
    listed = '"one_a" "{}"\n"two_b" "1/1"\n"other_c" "0/1"\n'
    manager = Manager({"docker service ls --format": lambda: Done(listed.format(next(counts)))})
    stacks.wait_stacks(manager, ["one", "two"], within=5)
    with pytest.raises(NeverTrue, match="last seen: three"):
        stacks.wait_stacks(manager, ["one", "three"], within=0)


def test_only_stacks_that_stand_are_removed() -> None:
    tasks = iter([Done("t1"), Done(), Done(rc=1, stderr="nothing found")])
    manager = Manager(
        {
            "docker stack ls": Done("one\ntwo\nother\n"),
            "docker stack ps": lambda: next(tasks),
        }
    )
    stacks.remove_stacks(manager, ["one", "two", "gone"], within=5)
    assert manager.commands("stack rm") == ["docker stack rm one two"]
    assert manager.commands("stack ps")[-1] == "docker stack ps --quiet two"
    nothing = Manager()
    stacks.remove_stacks(nothing, ["one"], within=5)
    assert not nothing.commands("stack rm")


def test_services_end_before_what_they_need() -> None:
    running = iter(["1/0", "0/0"])
    manager = Manager(
        {
            "docker service ls --format '{{.Name}}'": Done("s_a\ns_b\n"),
            "docker service ls --format '{{json": lambda: Done(f'"s_a" "{next(running)}"\n'),
        }
    )
    stacks.end_services(manager, ["s_a", "s_gone"], within=5)
    assert manager.commands("service scale") == ["docker service scale --detach s_a=0"]
    assert next(running, None) is None
    nothing = Manager()
    stacks.end_services(nothing, ["s_a"], within=5)
    assert not nothing.commands("service scale")


def test_networks_are_removed_when_their_tasks_have_left() -> None:
    seen = iter(["staging\nbackend\n", "staging\n", "backend\n"])
    manager = Manager({"docker network ls": lambda: Done(next(seen))})
    stacks.remove_networks(manager, ["staging"], within=5)
    assert manager.commands("network rm") == ["docker network rm staging"] * 2
