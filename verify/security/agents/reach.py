"""Knock at ports of other machines: `python3 - tcp|udp:ADDRESS:PORT ...`.

Prints `open ADDRESS PORT` for each TCP port that accepts. To each UDP port go some datagrams of
zeros, each from a port of its own; whether they got in, their receiver says. Needs python3-minimal.
"""

import select
import socket
import sys
import time

CONNECT_SECONDS = 1.5
DATAGRAMS = 5


def main(doors):
    """Knock at all at once."""
    waiting = {}
    for protocol, address, port in (door.split(":") for door in doors):
        if protocol == "udp":
            for _ in range(DATAGRAMS):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"\0" * 16, (address, int(port)))
            continue
        link = socket.socket()
        link.setblocking(False)
        link.connect_ex((address, int(port)))
        waiting[link] = (address, port)
    end = time.monotonic() + CONNECT_SECONDS
    while waiting and time.monotonic() < end:
        _, ready, _ = select.select([], list(waiting), [], end - time.monotonic())
        for link in ready:
            address, port = waiting.pop(link)
            if link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                print("open", address, port)
            link.close()


if __name__ == "__main__":
    main(sys.argv[1:])
