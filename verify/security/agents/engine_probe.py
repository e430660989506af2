"""Whether a Docker engine answers at a port without a client's certificate.

`python3 - ADDRESS:PORT ...` prints `answers ADDRESS PORT plain|tls` for each that does (Engine API,
`GET /_ping`, by its header Api-Version). Needs python3-minimal with ssl.
"""

import contextlib
import socket
import ssl
import sys
import threading

SECONDS = 1.0
REQUEST = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"


def ask(link):
    """Return whether an engine answers on a connection."""
    link.sendall(REQUEST)
    answer = b""
    while len(answer) < 4096 and (part := link.recv(4096)):
        answer += part
    return b"\r\napi-version:" in answer.lower()


def probe(address, port, found):
    """Ask in both ways; who does not answer in time, or not so, is none."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    for way in ("plain", "tls"):
        try:
            link = socket.create_connection((address, port), SECONDS)
        except OSError:
            return  # nobody is there, or nobody may get there
        answered = False
        with link, contextlib.suppress(OSError):
            if way == "tls":
                with trusting.wrap_socket(link) as sealed:
                    answered = ask(sealed)
            else:
                answered = ask(link)
        if answered:
            found.append((address, port, way))


def main(doors):
    """Ask at all at once."""
    found, threads = [], []
    for door in doors:
        address, port = door.split(":")
        threads.append(threading.Thread(target=probe, args=(address, int(port), found)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for answer in found:
        print("answers", *answer)


if __name__ == "__main__":
    main(sys.argv[1:])
