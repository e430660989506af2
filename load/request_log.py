"""The compact file in which a load generator records every request, and reading it while it grows.

MessagePack, one file a process: a header (a map), then a list a request, a map of the process' CPU
time now and then, and a map at the end. Some 60 bytes a request. A record that a kill cut off at
the end is left out; nothing before it is lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgpack

from load.samples import Sample

PATTERN: Final = "requests-*.msgpack"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """What a process was told: `t0` is the monotonic time at which its schedule begins."""

    t0: float
    loop: str
    routes: list[str]
    entries: list[str]

    def as_map(self) -> dict[str, Any]:
        """Return it as what is packed."""
        return {name: getattr(self, name) for name in self.__slots__}


class Writer:
    """Appends records of one process; `flush` writes out what has come since."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file: BinaryIO = path.open("wb")
        self._packer = msgpack.Packer()
        self._file.write(self._packer.pack({"header": header.as_map()}))
        self._file.flush()

    def request(
        self,
        seq: int,
        route: int,
        due: float,
        started: float,
        ended: float,
        entry: int,
        result: str,
        served_by: str,
    ) -> None:
        """Record a request: times are monotonic seconds, `result` is `ok` or what was wrong."""
        record = [seq, route, due, started, ended, entry, result, served_by]
        self._file.write(self._packer.pack(record))

    def flush(self, cpu_seconds: float) -> None:
        """Write out what has come, and the CPU time that this process has used so far."""
        self._file.write(self._packer.pack({"at": time.monotonic(), "cpu": cpu_seconds}))
        self._file.flush()

    def close(self, reason: str) -> None:
        """Say that this is all."""
        self._file.write(self._packer.pack({"end": time.monotonic(), "reason": reason}))
        self._file.close()


@dataclass
class _Reading:
    path: Path
    header: Header | None = None
    cpu: list[tuple[float, float]] = field(default_factory=list)
    ended: float | None = None
    reason: str = ""
    _offset: int = 0
    _rest: bytes = b""

    def on(self, take: Callable[[Sample], None]) -> None:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            while chunk := file.read(_CHUNK):
                self._offset += len(chunk)
                self._feed(chunk, take)

    def _feed(self, chunk: bytes, take: Callable[[Sample], None]) -> None:
        data = self._rest + chunk
        unpacker = msgpack.Unpacker(max_buffer_size=len(data))
        unpacker.feed(data)
        whole = 0
        for record in unpacker:
            whole = unpacker.tell()
            self._take(record, take)
        self._rest = data[whole:]

    def _take(self, record: Any, take: Callable[[Sample], None]) -> None:
        if isinstance(record, list) and self.header is not None:
            seq, route, due, started, ended, entry, result, served_by = record
            where = self.header.entries[entry] if self.header.entries else ""
            take(
                Sample(
                    self.header.routes[route],
                    seq,
                    due,
                    started,
                    ended,
                    result == "ok",
                    {where: result},
                    served_by,
                )
            )
        elif isinstance(record, dict) and "header" in record:
            self.header = Header(**record["header"])
        elif isinstance(record, dict) and "cpu" in record:
            self.cpu.append((record["at"], record["cpu"]))
        elif isinstance(record, dict) and "end" in record:
            self.ended, self.reason = record["end"], record["reason"]
        else:
            raise ValueError(f"{self.path}: no record of a load generator: {record!r:.80}")


@dataclass
class RequestLog:
    """All files of a run below `folder`, read on from where they were left.

    `read_on` raises `ValueError` for a file that is none of ours.
    """

    folder: Path
    samples: list[Sample] = field(default_factory=list)
    _readings: dict[Path, _Reading] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[Path]) -> RequestLog:
        """Return the log of these files, whatever they are called."""
        log = cls(Path(os.devnull))
        log._readings = {path: _Reading(path) for path in files}
        return log

    def read_on(self) -> None:
        """Take in what was written since; `samples` then holds it too, in the order written."""
        for path in sorted(self.folder.glob(PATTERN)):
            self._readings.setdefault(path, _Reading(path))
        for reading in self._readings.values():
            reading.on(self.samples.append)

    @property
    def headers(self) -> list[Header]:
        """What each process was told, as far as read."""
        return [r.header for r in self._readings.values() if r.header is not None]

    @property
    def complete(self) -> bool:
        """Whether every process said that it had recorded all."""
        readings = self._readings.values()
        return bool(readings) and all(reading.ended is not None for reading in readings)

    def cpu_seconds(self) -> float:
        """Return the CPU time that all processes used between their first and last word."""
        return sum(r.cpu[-1][1] - r.cpu[0][1] for r in self._readings.values() if r.cpu)

    def cpu_shares(self) -> list[float]:
        """Return the share of a core that each process used between its first and last word."""
        shares = []
        for reading in self._readings.values():
            if len(reading.cpu) >= 2:
                (first, used), (last, used_last) = reading.cpu[0], reading.cpu[-1]
                if last > first:
                    shares.append((used_last - used) / (last - first))
        return shares
