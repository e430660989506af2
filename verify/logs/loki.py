"""Asks Loki by its HTTP API, whoever implements it.

https://grafana.com/docs/loki/latest/reference/loki-http-api/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CutoverError
from verify.logs.judging import Entry

SERVICE: Final = "loki"
PORT: Final = 3100
#: Loki's own default of max_entries_limit_per_query.
MOST_ENTRIES: Final = 5000
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Span:
    """A time from `start` on and before `end`, in Unix nanoseconds."""

    start: int
    end: int


class Loki:
    """A Loki that can be asked. Every method raises `CutoverError` when it gives no answer."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ready(self) -> bool:
        """Whether it says that it is; which says nothing of any line."""
        try:
            return self._client.get("/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def entries(self, query: str, span: Span) -> list[Entry]:
        """Return what a log query gives, oldest first; it must give less than Loki's limit."""
        data = self._get(
            "query_range",
            query=query,
            start=str(span.start),
            end=str(span.end),
            limit=str(MOST_ENTRIES),
            direction="forward",
        )
        found = parse_streams(data)
        if len(found) >= MOST_ENTRIES:
            raise CutoverError("gives as many lines as one query can", where=f"Loki: {query}")
        return found

    def values(self, label: str, span: Span) -> set[str]:
        """Return the values that a label has in that time."""
        data = self._get(f"label/{label}/values", start=str(span.start), end=str(span.end))
        return {str(value) for value in data or ()}

    def _get(self, path: str, **parameters: str) -> Any:
        try:
            answer = self._client.get(f"/loki/api/v1/{path}", params=parameters)
        except httpx.HTTPError as error:
            raise CutoverError(f"{type(error).__name__}: {error}", where="Loki") from error
        if answer.status_code != 200:
            raise CutoverError(
                f"status {answer.status_code}: {answer.text[:200].strip()}", where=f"Loki: {path}"
            )
        try:
            return answer.json().get("data")
        except (ValueError, AttributeError) as error:
            raise CutoverError(f"no answer of Loki's: {error}", where=f"Loki: {path}") from error


def parse_streams(data: Any) -> list[Entry]:
    """Read the `data` of a query for logs. Raises `CutoverError`."""
    try:
        if data["resultType"] != "streams":
            raise ValueError(f"a result of {data['resultType']}")
        return [
            Entry(stream["stream"], int(value[0]), value[1])
            for stream in data["result"] or ()
            for value in stream["values"]
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CutoverError(
            f"no log streams: {type(error).__name__}: {error}", where="Loki: query_range"
        ) from error


def lines_with(text: str, **labels: str) -> str:
    """Return the LogQL query for lines that hold `text`, of streams with these labels.

    Without any, of all streams that name a node.
    """
    matchers = [f"{name}={json.dumps(value)}" for name, value in labels.items()] or ['node=~".+"']
    return f"{{{', '.join(matchers)}}} |= {json.dumps(text, ensure_ascii=False)}"


@contextmanager
def opened(cluster: Cluster) -> Iterator[Loki]:
    """Yield the cluster's Loki, through its node. Raises `CutoverError` when none runs."""
    service = cluster.snapshot().service_called(SERVICE).name
    with (
        cluster.reach(service, PORT) as socket,
        httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)),
            base_url="http://loki",
            timeout=_SECONDS,
        ) as client,
    ):
        yield Loki(client)
