"""What was written against what was found: lost, repeated, misplaced, stamped with a wrong time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_TOLD: Final = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line, written after `after_ns` and before `before_ns` of its node's clock (Unix time).

    `service` is the full name, empty for a container that Swarm did not start. `stream` is empty
    where it cannot be told, because both are one pipe.
    """

    text: str
    node: str
    service: str
    container: str
    stream: str
    after_ns: int
    before_ns: int

    @property
    def labels(self) -> dict[str, str]:
        """The labels that it must be found under."""
        wanted = {
            "node": self.node,
            "service": self.service,
            "container": self.container,
            "stream": self.stream,
        }
        return {name: value for name, value in wanted.items() if value}

    def misplaced(self, labels: Mapping[str, str]) -> str:
        """Say which labels it was found under instead of its own; empty when they are its own."""
        # Promtail's discovery by the Docker API gives the name with the slash that the API gives.
        found = {name: labels.get(name, "").lstrip("/") for name in self.labels}
        wrong = [
            f"{name} {found[name] or 'missing'} instead of {value}"
            for name, value in self.labels.items()
            if found[name] != value
        ]
        return ", ".join(wrong)

    def seconds_off(self, ns: int) -> float:
        """Return by how many seconds a time stamp lies outside of when it was written."""
        return max(self.after_ns - ns, ns - self.before_ns, 0) / 1e9


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry that Loki gave: its labels, its time in Unix nanoseconds, its line."""

    labels: Mapping[str, str]
    ns: int
    text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What became of the written lines; `misplaced` and `repeated` are problems in words.

    `found` counts the lines that were found at all. `off` is the most seconds by which a time stamp
    lies outside of the time of the writing.
    """

    missing: tuple[Line, ...]
    misplaced: tuple[str, ...]
    repeated: tuple[str, ...]
    found: int
    off: float


def judge(written: Sequence[Line], entries: Iterable[Entry]) -> Findings:
    """Hold each written line, which must be unique, against the entries with exactly its text.

    Others are passed over: a Loki logs the queries themselves, with the text that they ask for.
    Save where a container had begun a line of its own, and ours became the rest of it.
    """
    wanted = {line.text: line for line in written}
    copies: defaultdict[str, list[Entry]] = defaultdict(list)
    others = []
    for entry in entries:
        if entry.text in wanted:
            copies[entry.text].append(entry)
        else:
            others.append(entry)
    for line in written:
        if line.text not in copies and (glued := [e for e in others if _ends_with(e, line)]):
            copies[line.text] = glued
    misplaced: Counter[str] = Counter()
    for text, found in copies.items():
        for entry in found:
            if wrong := wanted[text].misplaced(entry.labels):
                misplaced[f"{wanted[text].node}: {wrong}"] += 1
    repeated = Counter(
        f"{wanted[text].node}: {wanted[text].container}, {len(found)} copies"
        for text, found in copies.items()
        if len(found) > 1
    )
    off = [wanted[text].seconds_off(entry.ns) for text, found in copies.items() for entry in found]
    return Findings(
        missing=tuple(line for line in written if line.text not in copies),
        misplaced=tuple(_counted(misplaced)),
        repeated=tuple(_counted(repeated)),
        found=len(copies),
        off=max(off, default=0.0),
    )


def _ends_with(entry: Entry, line: Line) -> bool:
    """Whether `line` is the end of what its own container wrote."""
    return entry.text.endswith(line.text) and not line.misplaced(entry.labels)


def _counted(problems: Mapping[str, int]) -> list[str]:
    return [f"{problem} ({n} lines)" if n > 1 else problem for problem, n in problems.items()]


#: The largest group of which nothing was found is named first.
_GROUPS: Final[tuple[tuple[str, Callable[[Line], object]], ...]] = (
    ("nothing of the {n} lines of node {0}", lambda line: (line.node,)),
    ("nothing of the {n} lines of service {0}", lambda line: (line.service,)),
    ("nothing of the {n} lines on {1} of node {0}", lambda line: (line.node, line.stream)),
    ("nothing of the {n} lines of {1} on {0}", lambda line: (line.node, line.container)),
)


def told(missing: Sequence[Line], written: Sequence[Line]) -> str:
    """Say in few words which of the written lines are missing."""
    lost = {line.text for line in missing}
    left = set(lost)
    said = []
    for words, key in _GROUPS:
        groups: defaultdict[object, list[Line]] = defaultdict(list)
        for line in written:
            groups[key(line)].append(line)
        for name, lines in groups.items():
            texts = {line.text for line in lines}
            if len(lines) > 1 and texts <= lost and texts & left:
                assert isinstance(name, tuple)
                said.append(words.format(*name, n=len(lines)))
                left -= texts
    single = [line for line in missing if line.text in left]
    said += [
        f"{line.text[:60]!r} of {line.container} ({line.stream}) on {line.node}"
        for line in single[:_TOLD]
    ]
    if len(single) > _TOLD:
        said.append(f"and {len(single) - _TOLD} more")
    return "; ".join(said)
