"""Send markers to other containers, and say which came from them: `python3 - QUESTION`.

QUESTION is JSON: `port`, `seconds`, and `send`, a list of [address, marker]. Every marker is sent
in a datagram several times within `seconds`. Prints a JSON list of what arrived on `port`.
"""

import json
import socket
import sys
import time

EVERY_SECONDS = 0.2


def main(port: int, seconds: float, send: list[list[str]]) -> None:
    """Send and receive for `seconds`."""
    arrived = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("0.0.0.0", port))  # noqa: S104 - in a container
        end, next_round = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            if now >= next_round:
                next_round = now + EVERY_SECONDS
                for address, marker in send:
                    link.sendto(marker.encode(), (address, port))
            link.settimeout(min(next_round, end) - now)
            try:
                arrived.add(link.recv(2048).decode(errors="replace"))
            except TimeoutError:
                continue
    print(json.dumps(sorted(arrived)))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
