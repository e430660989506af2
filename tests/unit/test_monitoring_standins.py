from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from unittest.mock import MagicMock

import httpx
import pytest

from fixtures.stacks import catalogue
from verify import exporters
from verify.monitoring import dashboards, datasources

FOLDER = catalogue.FOLDER / "configs" / "monitoring"
CONTAINER = "c" * 64


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def serving(handler: Any) -> Iterator[httpx.Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", timeout=5) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[httpx.Client]:
    module = loaded("alert_receiver")
    module.Handler.kept = module.Kept(tmp_path / "received.jsonl")
    with serving(module.Handler) as client:
        yield client


def alert(name: str, status: str = "firing") -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name}}


def test_the_receiver_keeps_what_it_is_sent_and_can_be_asked(receiver: httpx.Client) -> None:
    sent = {"version": "4", "alerts": [alert("A"), alert("B", "resolved")]}
    assert receiver.post("/alerts", json=sent).status_code == 200
    got = receiver.get("/received").json()["received"]
    assert [(one["number"], one["status"]) for one in got] == [(1, "firing"), (2, "resolved")]
    later = receiver.get("/received", params={"after": 1}).json()["received"]
    assert [one["labels"]["alertname"] for one in later] == ["B"]
    assert "alerts_received_total 2" in receiver.get("/metrics").text


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [("/alerts", "x", 400), ("/alerts", "{}", 400), ("/other", '{"alerts": []}', 404)],
)
def test_the_receiver_takes_nothing_else(
    receiver: httpx.Client, path: str, content: str, status: int
) -> None:
    assert receiver.post(path, content=content).status_code == status
    assert receiver.get("/received").json() == {"received": []}


def test_the_receiver_remembers_over_its_own_end(tmp_path: Path) -> None:
    module = loaded("alert_receiver")
    module.Kept(tmp_path / "r").add([alert("A")])
    assert [one["number"] for one in module.Kept(tmp_path / "r").after(0)] == [1]


def test_grafana_s_stand_in_hands_out_every_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARDS", str(FOLDER / "dashboards"))
    with serving(loaded("grafana_standin").Handler) as client:
        found = client.get("/api/search", params={"type": "dash-db"}).json()
        assert len(found) == len(list((FOLDER / "dashboards").glob("*.json")))
        sources = datasources.known(client.get("/api/frontend/settings").json())
        for one in found:
            model = client.get(f"/api/dashboards/uid/{one['uid']}").json()["dashboard"]
            assert model["title"] == one["title"]
            assert len(dashboards.queries(model, sources)) >= 5
            assert datasources.problems(model, sources) == []
        assert client.get("/api/dashboards/uid/nobody").status_code == 404


def cgroups(folder: Path, version: int, group: str) -> None:
    for name in ("", group):
        if version == 1:
            memory, cpu = folder / "memory" / name, folder / "cpuacct" / name
            memory.mkdir(parents=True, exist_ok=True)
            cpu.mkdir(parents=True, exist_ok=True)
            (memory / "memory.usage_in_bytes").write_text("5000\n")
            (memory / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 2000\n")
            limit = "10000" if name else "9223372036854771712"
            (memory / "memory.limit_in_bytes").write_text(f"{limit}\n")
            (cpu / "cpuacct.usage").write_text("1500000000\n")
        else:
            where = folder / name
            where.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.controllers").write_text("memory\n")
            (where / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
            (where / "memory.stat").write_text("anon 4000\nfile 1000\ninactive_file 2000\n")
            if name:
                (where / "memory.current").write_text("5000\n")
                (where / "memory.max").write_text("10000\n")


@pytest.mark.parametrize(
    ("version", "group"),
    [(1, "docker/{}"), (2, "docker/{}"), (2, "system.slice/docker-{}.scope")],
)
def test_the_container_exporter_says_what_cadvisor_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, group: str
) -> None:
    cgroups(tmp_path, version, group.format(CONTAINER))
    monkeypatch.setenv("CGROUPS", str(tmp_path))
    module = loaded("container_exporter")
    label = {"com.docker.swarm.service.name": "shop_till"}
    gone = {"Id": "d" * 64, "Names": ["/gone"], "Labels": {}}
    listed = [{"Id": CONTAINER, "Names": ["/till.1"], "Labels": label}, gone]
    monkeypatch.setattr(module, "containers", lambda: listed)
    metrics = exporters.parse(module.metrics())
    (limit,) = (
        m
        for m in metrics
        if m.name == "container_spec_memory_limit_bytes" and m.labels["id"] != "/"
    )
    assert limit.value == 10000
    assert limit.labels["container_label_com_docker_swarm_service_name"] == "shop_till"
    assert limit.labels["name"] == "till.1"
    # The budget of a server reads it as it reads cAdvisor.
    story = exporters.cadvisor_story(module.metrics(), 0.0)
    assert (story.cpu_busy, story.memory_used) == (1.5, 3000)
    assert not any(m.labels.get("name") == "gone" for m in metrics)


def test_dashboards_are_as_grafana_writes_them() -> None:
    for path in (FOLDER / "dashboards").glob("*.json"):
        model = json.loads(path.read_text())
        assert {"uid", "title", "panels", "schemaVersion"} <= set(model)


class Gateway(BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[str, str]]] = []

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.got.append((self.path, content))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def scheduled(monkeypatch: pytest.MonkeyPatch, *command: str) -> None:
    """Run a command as the scheduler of the backup jobs does, once."""
    for name in ("apscheduler.schedulers.blocking", "apscheduler.triggers.cron"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "apscheduler.triggers.interval", MagicMock())
    source = catalogue.FOLDER.parent / "images" / "backup" / "bin" / "schedule"
    loader = importlib.machinery.SourceFileLoader("schedule", str(source))
    spec = importlib.util.spec_from_loader("schedule", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    module.Job(list(command)).run()


def test_a_backup_job_reports_its_success_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Gateway.got.clear()
    with serving(Gateway) as client:
        monkeypatch.setenv("REPORT_TO", str(client.base_url).rstrip("/"))
        monkeypatch.setenv("REPORT_AS", "redis-backup")
        scheduled(monkeypatch, "false")
        assert Gateway.got == []
        before = time.time()
        scheduled(monkeypatch, "true")
    ((path, content),) = Gateway.got
    assert path == "/metrics/job/backup/backup/redis-backup"
    assert abs(float(content.split()[-1]) - before) < 5


def test_a_gateway_that_is_not_there_is_no_failure_of_a_backup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("REPORT_TO", "http://127.0.0.1:1")
    monkeypatch.setenv("REPORT_AS", "redis-backup")
    scheduled(monkeypatch, "true")
    assert "not reported" in capsys.readouterr().out
