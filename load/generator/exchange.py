"""One HTTP request, sent once.

Locust's own fast client is built on geventhttpclient's `HTTPClient`, which sends a GET again by
itself when a connection was dropped, as often as its pool is large: the requests that a rolling
update drops would never be seen. So the connection is ours, and only the answer is read by that
library's parser. No proxy of the environment is used, and no redirect is followed.
"""

from __future__ import annotations

import errno
import ssl
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
import gevent.select
import gevent.socket
import gevent.ssl
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError, HTTPSocketResponse

from load.samples import NOT_SENT

# What the machine that asks ran out of: its own fault, not the system's.
_EXHAUSTED: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


class Failed(Exception):
    """The request was not answered; `reason` says why in a word or two.

    `untouched`: no byte of an answer had come, so that another entry may be asked.
    """

    def __init__(self, reason: str, *, untouched: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.untouched = untouched


@dataclass(frozen=True, slots=True)
class Door:
    """Where to connect, and the head of every request there."""

    host: str
    port: int
    secure: bool
    netloc: str

    @classmethod
    def of(cls, url: str) -> Door:
        """Read it from a URL."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        return cls(
            parts.hostname or "", parts.port or (443 if secure else 80), secure, parts.netloc
        )


@dataclass
class Exchanger:
    """Sends requests over `fresh` connections, or over idle ones that it keeps."""

    kept: bool
    _idle: dict[Door, list[Any]] = field(default_factory=lambda: defaultdict(list), init=False)
    _trust: ssl.SSLContext | None = field(default=None, init=False)

    def ask(self, door: Door, request: bytes, method: str, timeout: float) -> tuple[int, bytes]:
        """Send `request` once; return status and body within `timeout` seconds.

        Raises `Failed`.
        """
        connection: Any = None
        try:
            with gevent.Timeout(timeout, TimeoutError):
                connection = self._connection(door)
                connection.sendall(request)
                answer = HTTPSocketResponse(connection, method=method)
                body = bytes(answer.read())
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, Exception) and not isinstance(error, Failed):
                raise _failed(error) from error
            raise
        if self.kept and not answer.should_close():
            self._idle[door].append(connection)
        else:
            connection.close()
        return answer.get_code(), body

    def close(self) -> None:
        """Close every kept connection."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    def _connection(self, door: Door) -> Any:
        idle = self._idle[door]
        while idle:
            connection = idle.pop()
            # One that the server has closed meanwhile is readable: no client would use it.
            if not gevent.select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()
        plain = gevent.socket.create_connection((door.host, door.port))
        plain.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        if not door.secure:
            return plain
        try:
            if self._trust is None:
                self._trust = gevent.ssl.create_default_context()
            return self._trust.wrap_socket(plain, server_hostname=door.host)
        except BaseException:
            plain.close()
            raise


def request_bytes(
    door: Door, method: str, path: str, body: bytes, content_type: str, *, kept: bool
) -> bytes:
    """Return a request as it goes over the wire (HTTP/1.1, RFC 9112)."""
    head = [
        f"{method} {path} HTTP/1.1",
        f"Host: {door.netloc}",
        "User-Agent: cutover",
        f"Connection: {'keep-alive' if kept else 'close'}",
    ]
    if body or method in ("POST", "PUT", "PATCH"):
        head += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _failed(error: Exception) -> Failed:
    """Name what kept a request from being answered, as `load.asking.kind` does."""
    match error:
        case TimeoutError():
            return Failed("timeout")
        case ConnectionRefusedError():
            return Failed("refused", untouched=True)
        case HTTPConnectionClosed():
            return Failed("closed without an answer", untouched=True)
        case ConnectionResetError() | BrokenPipeError():
            return Failed("reset", untouched=True)
        case HTTPParseError():
            return Failed("not HTTP, or cut off")
        case gevent.socket.gaierror():
            return Failed("no such name", untouched=True)
        case OSError(errno=number) if number in _EXHAUSTED:
            return Failed(f"{NOT_SENT}: {error}")
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return Failed("unreachable", untouched=True)
        case _:
            return Failed(f"broken: {type(error).__name__}: {error}"[:120])
