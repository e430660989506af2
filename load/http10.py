"""One GET on a connection of its own, as cheap as it can be.

HTTP/1.0 (RFC 1945): the server closes when it is done, so an answer is what comes before the end.
A client library costs some 3 ms of CPU a request here, and at 80 a second that alone made the
generator late.
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

_MOST_BYTES = 1 << 20


class BadAnswer(Exception):
    """What came back is no HTTP answer."""


async def get(url: str) -> tuple[int, bytes]:
    """Return status and body. Raises `BadAnswer`, `OSError`; the caller bounds the time."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=ssl.create_default_context() if secure else None,
        limit=_MOST_BYTES,
    )
    try:
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        writer.write(
            f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\nUser-Agent: cutover\r\n\r\n".encode()
        )
        answer = await reader.read(_MOST_BYTES)
        while chunk := await reader.read(_MOST_BYTES):
            answer += chunk
    finally:
        writer.close()
    return parse(answer)


def parse(answer: bytes) -> tuple[int, bytes]:
    """Split an answer into status and body. Raises `BadAnswer`, also for one that was cut off."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    words = first.split(None, 2)
    if not separator or len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        raise BadAnswer("closed without an answer" if not answer else "not HTTP")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (field.partition(b":") for field in fields)
    }
    length = headers.get(b"content-length")
    if length is not None and len(body) < int(length):
        raise BadAnswer("cut off")
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        raise BadAnswer("chunked, which HTTP/1.0 does not have")
    return int(words[1]), body
