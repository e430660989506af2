"""Has containers say lines: written into their first process' own output, from their node.

So it works with any image, and what a program would print takes the same way. It needs root there.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from fixtures.cluster.cluster import Cluster, Node
from fixtures.errors import CutoverError
from verify.logs.judging import Line

#: Node, mark → lines.
Texts = Callable[[str, str], list[str]]
STREAMS: Final = ("stdout", "stderr")
_SECONDS: Final = 60.0
#: How what is said of a container whose output cannot be written to from outside ends.
NO_PIPE: Final = ": no pipe"
#: What an output is called that the node did not show.
_UNKNOWN: Final = "-"
_SERVICE: Final = '{{index .Config.Labels "com.docker.swarm.service.name"}}'
# For each running container: id, pid, name, service, and what its two outputs are.
_LIST: Final = (
    'ids=$(docker ps --quiet --no-trunc) || exit; [ -n "$ids" ] || exit 0; docker inspect --format'
    f" '{{{{.Id}}}} {{{{.State.Pid}}}} {{{{.Name}}}} {_SERVICE}' $ids 2>/dev/null"
    " | while read -r id pid name service; do"
    ' echo "$id $pid $name ${service:--} $(readlink /proc/$pid/fd/1 || echo -)'
    ' $(readlink /proc/$pid/fd/2 || echo -)"; done'
)
# A line each: number, output's path, text; answered by number, clock before, clock after, status.
_SAY: Final = (
    "while IFS=' ' read -r n path text; do b=$(date +%s%N);"
    ' timeout 5 sh -c \'printf "%s\\n" "$1" >"$2"\' - "$text" "$path" 2>/dev/null;'
    ' s=$?; echo "$n $b $(date +%s%N) $s"; done'
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A running container on `node`: what its outputs are, as /proc says (`pipe:[123]`)."""

    node: str
    id: str
    pid: int
    name: str
    service: str
    outputs: tuple[str, str]

    def streams(self) -> dict[str, str]:
        """Return path → stream of the outputs that can be written to.

        The stream is empty where both are one pipe: which it is cannot be told from outside.
        """
        paths = {f"/proc/{self.pid}/fd/{n}": o for n, o in enumerate(self.outputs, 1)}
        if self.outputs[0] == self.outputs[1] and self.outputs[0].startswith("pipe:"):
            return {next(iter(paths)): ""}
        return {
            path: stream
            for (path, output), stream in zip(paths.items(), STREAMS, strict=True)
            if output.startswith("pipe:")
        }

    def line(self, text: str, stream: str, clock: tuple[int, int]) -> Line:
        """Return the line that it has said, between two readings of its node's clock."""
        return Line(text, self.node, self.service, self.name, stream, clock[0], clock[1])


@dataclass(frozen=True, slots=True)
class Said:
    """Lines that were written: all hold `mark`; the last at `at` (monotonic seconds).

    `unsaid` says which containers could not be made to say theirs.
    """

    mark: str
    lines: tuple[Line, ...]
    at: float
    unsaid: tuple[str, ...] = ()

    @property
    def nodes(self) -> set[str]:
        """Names of the nodes that they were written on."""
        return {line.node for line in self.lines}


def new_mark() -> str:
    """Return what tells lines of one writing from all others."""
    return f"cutover-line-{uuid4().hex}"


def parse_speakers(node: str, text: str) -> list[Speaker]:
    """Read what the node said of its containers."""
    found = []
    for line in text.splitlines():
        identity, pid, name, service, out, err = line.split(" ", 5)
        service = "" if service == "-" else service
        found.append(Speaker(node, identity, int(pid), name.lstrip("/"), service, (out, err)))
    return found


def speakers(node: Node, service: str = "") -> list[Speaker]:
    """Return the containers that run on a node, or those of the service of that full name."""
    found = parse_speakers(node.name, node.run(_LIST, timeout=_SECONDS).stdout)
    return [s for s in found if not service or s.service == service]


def every_container_says(cluster: Cluster, nodes: Sequence[str] = ()) -> Said:
    """Have every container write one line into each of its outputs, on all nodes or on these.

    Raises `CutoverError`.
    """
    mark = new_mark()
    chosen = [cluster.node(name) for name in nodes or cluster.nodes]
    parts = cluster.on_all(lambda node: _say_all(node, mark), chosen)
    return joined(mark, parts)


def joined(mark: str, parts: Mapping[str, tuple[list[Line], list[str]]]) -> Said:
    """Put together what was said on several nodes. Raises `CutoverError` when that is nothing."""
    lines = [line for said, _ in parts.values() for line in said]
    unsaid = [problem for _, problems in parts.values() for problem in problems]
    if not lines:
        raise CutoverError(f"nothing could be written: {'; '.join(unsaid)}", where="containers")
    silent = sorted(parts.keys() - {line.node for line in lines})
    unsaid += [f"{node}: no container there wrote a line" for node in silent]
    return Said(mark, tuple(lines), time.monotonic(), tuple(unsaid))


def _say_all(node: Node, mark: str) -> tuple[list[Line], list[str]]:
    found = speakers(node)
    ways = [(s, path, stream) for s in found for path, stream in s.streams().items()]
    texts = [f"{mark} {node.name} {n}" for n in range(len(ways))]
    request = "".join(f"{n} {ways[n][1]} {text}\n" for n, text in enumerate(texts))
    answers = node.run(_SAY, stdin=request.encode(), timeout=_SECONDS).stdout
    lines, unsaid = [], [_why_silent(s) for s in found if not s.streams()]
    for answer in answers.splitlines():
        n, before, after, status = (int(word) for word in answer.split())
        speaker, _, stream = ways[n]
        if status == 0:
            lines.append(speaker.line(texts[n], stream, (before, after)))
        else:
            unsaid.append(f"{speaker.name} on {node.name}: status {status}")
    return lines, unsaid


def _why_silent(speaker: Speaker) -> str:
    where = f"{speaker.name} on {speaker.node}"
    hidden = _UNKNOWN in speaker.outputs
    return f"{where}: its output cannot be seen, which needs root" if hidden else where + NO_PIPE


def numbered(count: int, size: int = 0) -> Texts:
    """Return what makes `count` lines of at least `size` bytes for a node."""
    return lambda node, mark: [f"{mark} {node} {n} ".ljust(size, ".") for n in range(count)]


def own_say(
    cluster: Cluster,
    speakers: Mapping[str, Speaker],
    texts: Texts,
    *,
    at_a_time: int = 0,
    pause: float = 0.0,
    then: str = "",
) -> Said:
    """Have a speaker on each node write the lines that `texts` makes of its name and the mark.

    All at once, or `at_a_time` with `pause` seconds between. The node runs `then`, in which {0} is
    the speaker, right after its last line. Raises `CommandFailed`.
    """
    mark = new_mark()

    def say(node: Node) -> tuple[list[Line], list[str]]:
        speaker = speakers[node.name]
        script = _saying(speaker, at_a_time, pause, then.format(speaker) or ":")
        lines = texts(node.name, mark)
        body = "".join(f"{line}\n" for line in lines).encode()
        before, after = node.run(script, stdin=body, timeout=_SECONDS).stdout.split()
        clock = int(before), int(after)
        return [speaker.line(line, STREAMS[0], clock) for line in lines], []

    chosen = [cluster.node(name) for name in speakers]
    return joined(mark, cluster.on_all(say, chosen))


def _saying(speaker: Speaker, at_a_time: int, pause: float, then: str) -> str:
    out = f"/proc/{speaker.pid}/fd/1"
    slowly = (
        'n=0; while IFS= read -r line; do printf "%s\\n" "$line"; n=$((n+1));'
        f" [ $((n % {at_a_time})) -ne 0 ] || sleep {pause:g}; done"
    )
    how = slowly if at_a_time else "cat"
    return (
        f"date +%s%N; timeout 45 sh -c {shlex.quote(f'{how} >{out}')} && date +%s%N && {then} >&2"
    )
