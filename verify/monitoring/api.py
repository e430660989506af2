"""The HTTP APIs of the monitoring: Prometheus, Alertmanager, Grafana, the receiver of alerts.

Prometheus' API is v1 (prometheus.io/docs/prometheus/latest/querying/api), Alertmanager's v2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError

SECONDS: Final = 10.0
#: Service as its stack file calls it → its port.
PORTS: Final = {
    "prometheus": 9090,
    "alertmanager": 9093,
    "alert-receiver": 9095,
    "grafana": 3000,
    "prometheus-pushgateway": 9091,
}


@dataclass(frozen=True)
class Api:
    """One service's HTTP API; every call raises `CutoverError` for what is no good answer."""

    name: str
    client: httpx.Client

    def get(self, path: str, **params: str) -> Any:
        """Return the JSON that a GET of `path` answers."""
        return self._send("GET", path, params=params).json()

    def send(self, method: str, path: str, text: str = "") -> None:
        """Send `text` to `path`."""
        self._send(method, path, content=text)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self.client.request(method, path, **more)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            said = error.response.text[:300]
            raise CutoverError(
                f"{error.response.status_code}: {said}", where=f"{self.name} {path}"
            ) from error
        except httpx.HTTPError as error:
            raise CutoverError(
                f"does not answer: {type(error).__name__}: {error}", where=f"{self.name} {path}"
            ) from error
        return answer


@dataclass(frozen=True)
class Sample:
    """One series' value now."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Monitoring:
    """What watches a cluster, reached; `cluster` is what it watches."""

    cluster: Cluster
    prometheus: Api
    alertmanager: Api
    receiver: Api
    grafana: Api
    pushgateway: Api

    def query(self, expression: str) -> list[Sample]:
        """Return the instant vector of a PromQL expression (a scalar is one sample)."""
        data = self.prometheus.get("/api/v1/query", query=expression)["data"]
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]

    def now(self) -> float:
        """Return Prometheus' own time in seconds: its stamps are compared with no other clock."""
        return self.query("time()")[0].value

    def received(self, after: int = 0) -> list[dict[str, Any]]:
        """Return what the receiver of alerts got, but for the first `after`."""
        found: list[dict[str, Any]] = self.receiver.get("/received", after=str(after))["received"]
        return found

    def push(self, group: str, metric: str, value: float) -> None:
        """Push a metric as a job does; `group` is its path of labels (`job/x/backup/y`)."""
        self.pushgateway.send(
            "PUT", f"/metrics/{group}", f"# TYPE {metric} gauge\n{metric} {value:f}\n"
        )

    def unpush(self, group: str) -> None:
        """Let the push gateway forget a group."""
        self.pushgateway.send("DELETE", f"/metrics/{group}")


@contextmanager
def reached(cluster: Cluster) -> Iterator[Monitoring]:
    """Reach the monitoring of a cluster. Raises `CutoverError` when a part of it does not run."""
    snapshot = cluster.snapshot()
    with ExitStack() as stack:
        apis = {}
        for name, port in PORTS.items():
            socket = stack.enter_context(cluster.reach(snapshot.service_called(name).name, port))
            transport = httpx.HTTPTransport(uds=str(socket), retries=2)
            client = httpx.Client(transport=transport, timeout=SECONDS, base_url="http://localhost")
            apis[name] = Api(name, stack.enter_context(client))
        yield Monitoring(cluster, *apis.values())
