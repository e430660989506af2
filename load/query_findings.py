"""What the answers to an application's queries say: times with their error. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fixtures.errors import CutoverError
from load.percentiles import Quantile, percentile, quantile
from load.validity import generator_objections

MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One query asked of one server. Times in seconds since the first was due.

    `error` is empty for a right answer in time. A query for which no connection was free was never
    sent: `started` and `ended` are then when that was found.
    """

    server: str
    query: str
    due: float
    started: float
    ended: float
    error: str = ""

    @property
    def lag(self) -> float:
        """Seconds by which the agent itself was late."""
        return self.started - self.due


@dataclass(frozen=True, slots=True)
class Asked:
    """A run of queries.

    `asked_from` is the node of the container that asked; `services` maps a server (primary,
    replica) to its service; `intended` asks should have left within `seconds`, each with `timeout`
    seconds to be answered; `cpu` is the share of a core that the agent used; `plans` maps (server,
    query) to what EXPLAIN said before.
    """

    asked_from: str
    services: dict[str, str]
    answers: Sequence[Answer]
    seconds: float
    timeout: float
    intended: int
    cpu: float
    plans: dict[tuple[str, str], str]

    def of(self, server: str) -> dict[str, list[Answer]]:
        """Return query → answers of one server, in the order in which they came up."""
        found: dict[str, list[Answer]] = {}
        for answer in self.answers:
            if answer.server == server:
                found.setdefault(answer.query, []).append(answer)
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class QueryTime:
    """How long one query took at one server; percentiles in milliseconds.

    One that failed was never answered: it counts as its timeout, however quickly it failed.
    `within` is the asked-for percentile with its error; `p50`, `p95` and `p99` are nearest-rank,
    from when each was due. `failures` names each kind with its number.
    """

    server: str
    query: str
    n: int
    failed: int
    within: Quantile
    p50: float
    p95: float
    p99: float
    failures: tuple[str, ...]


def objections(asked: Asked) -> list[str]:
    """Return how the agent spoiled its own run."""
    lags = [answer.lag for answer in asked.answers]
    return generator_objections(lags, asked.seconds, asked.intended, [asked.cpu])


def query_times(asked: Asked, servers: Sequence[str], rank: float) -> list[QueryTime]:
    """Return for each query of each server the `rank`-th percentile of its time.

    A query's time lies between what passed since it was sent and what passed since it was due.
    Raises `CutoverError` for a server that was asked nothing.
    """
    times = []
    for server in servers:
        found = asked.of(server)
        if not found:
            raise CutoverError(
                f"nothing was asked of {server!r}",
                where="feature",
                remedy=f"The servers are {' and '.join(asked.services)}; the file of the queries "
                "says what is asked where.",
            )
        times += [
            _time(server, query, answers, rank, asked.timeout) for query, answers in found.items()
        ]
    return times


def _time(
    server: str, query: str, answers: Sequence[Answer], rank: float, timeout: float
) -> QueryTime:
    def took(answer: Answer, since: float) -> float:
        seconds = answer.ended - since
        return MILLISECONDS * (max(timeout, seconds) if answer.error else seconds)

    least = [took(answer, answer.started) for answer in answers]
    most = [took(answer, answer.due) for answer in answers]
    kinds = Counter(answer.error for answer in answers if answer.error)
    return QueryTime(
        server,
        query,
        len(answers),
        sum(kinds.values()),
        quantile(least, most, rank),
        percentile(most, 50),
        percentile(most, 95),
        percentile(most, 99),
        tuple(f"{count} x {kind}" for kind, count in kinds.most_common()),
    )


def table(asked: Asked) -> list[dict[str, str]]:
    """Return a row for each server and query, times in milliseconds."""
    return [
        {
            "server": asked.services[found.server],
            "query": found.query,
            "asked": str(found.n),
            "failed": str(found.failed),
            "p50 ms": f"{found.p50:.1f}",
            "p95 ms": f"{found.p95:.1f}",
            "p99 ms": f"{found.p99:.1f}",
            "p95 with its error": f"{found.within.value:.1f} ± {found.within.error:.1f}",
        }
        for found in query_times(asked, [s for s in asked.services if asked.of(s)], 95)
    ]


def story(asked: Asked) -> str:
    """Return how the agent fared, and how each query was planned, for a reader."""
    lags = [MILLISECONDS * answer.lag for answer in asked.answers]
    late = f", late by {percentile(lags, 99):.1f} ms (p99)" if lags else ""
    lines = [
        f"Asked from {asked.asked_from}: {len(asked.answers)} of {asked.intended} queries in "
        f"{asked.seconds:.1f} s{late}, {100 * asked.cpu:.0f} % of a core."
    ]
    for (server, query), plan in asked.plans.items():
        lines += ["", f"{query} on {asked.services[server]}:", plan]
    return "\n".join(lines)
