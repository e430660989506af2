"""One GET on a connection of its own, as cheap as it can be.

HTTP/1.0 (RFC 1945): the server closes when it is done, so an answer is what comes before the end,
or what Content-Length says. No proxy of the environment is used. A client library costs some 3 ms
of CPU a request here, and at 80 a second that alone made the generator late.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from urllib.parse import urlsplit

_MOST_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16


class BadAnswer(Exception):
    """What came back is no HTTP answer."""


async def get(url: str) -> tuple[int, bytes]:
    """Return status and body. Raises `BadAnswer`, `OSError`; the caller bounds the time."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=_trust() if secure else None
    )
    try:
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        writer.write(
            f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\nUser-Agent: cutover\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = b""
        while not _whole(answer) and (chunk := await reader.read(_CHUNK_BYTES)):
            answer += chunk
            if len(answer) > _MOST_BYTES:
                raise BadAnswer(f"longer than {_MOST_BYTES} bytes")
    finally:
        writer.close()
    return parse(answer)


def parse(answer: bytes) -> tuple[int, bytes]:
    """Split an answer into status and body. Raises `BadAnswer`, also for one that was cut off."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(None, 2)
    is_http = len(words) >= 2 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
    if not separator or not is_http:
        raise BadAnswer("closed without an answer" if not answer else "not HTTP")
    headers = _headers(head)
    length = _length(headers)
    if length is not None and len(body) < length:
        raise BadAnswer("cut off")
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        raise BadAnswer("chunked, which HTTP/1.0 does not have")
    return int(words[1]), body[:length]


def _whole(answer: bytes) -> bool:
    """Say whether all that Content-Length promised is here; the server may be slow to close."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    length = _length(_headers(head)) if separator else None
    return length is not None and len(body) >= length


def _headers(head: bytes) -> dict[bytes, bytes]:
    fields = (field.partition(b":") for field in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in fields}


def _length(headers: dict[bytes, bytes]) -> int | None:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else None


@functools.cache
def _trust() -> ssl.SSLContext:
    """Load the trusted authorities once: it takes longer than a request."""
    return ssl.create_default_context()
