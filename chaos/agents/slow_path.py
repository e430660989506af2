"""Hold packets back: latency where the kernel has no netem.

Rules send packets to an NFQUEUE; this process lets each go on `--delay` seconds later, give or
take `--jitter`, in the order in which they came, as netem does. It runs alone on a node, in
whatever network namespace it was started, with what Debian's python3-minimal has.

The rules say --queue-bypass: when this process is gone, packets pass at once. That is its
fail-safe. It speaks netlink by itself, by linux/netfilter/nfnetlink_queue.h and linux/netlink.h.

It prints `ready` when it holds the queue, and ends on SIGTERM or after `--for` seconds; what it
holds then is let go first.
"""

import collections
import errno
import random
import select
import signal
import socket
import struct
import sys
import time

NETLINK_NETFILTER = 12
SUBSYSTEM_QUEUE = 3
PACKET, CONFIG, VERDICT_BATCH = 0, 2, 3
CFG_CMD, CFG_PARAMS, CFG_MAXLEN, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
BIND, UNBIND, COPY_META, FAIL_OPEN = 1, 2, 1, 1
PACKET_HDR, VERDICT_HDR = 1, 2
NF_ACCEPT = 1
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
MOST_HELD = 20000
BUFFER = 8 << 20
#: From linux/socket.h; not in Python's socket module.
SO_RCVBUFFORCE = 33
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5


class Refused(Exception):
    """The kernel does not let this process have the queue."""


def attribute(kind, payload):
    """Return a netlink attribute, padded to 4 bytes."""
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + b"\0" * (-length % 4)


def message(kind, queue, payload, flags=0, sequence=0):
    """Return a netlink message about `queue`."""
    body = struct.pack("=BBH", 0, 0, socket.htons(queue)) + payload
    header = struct.pack(
        "=IHHII", 16 + len(body), SUBSYSTEM_QUEUE << 8 | kind, NLM_F_REQUEST | flags, sequence, 0
    )
    return header + body


def messages(data):
    """Yield (type, payload) of each netlink message in `data`."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if length < 16:
            return
        yield kind, data[offset + 16 : offset + length]
        offset += length + -length % 4


def packet_id(payload):
    """Return the id of the packet that a message brings; None when it brings none."""
    offset = 4
    while offset + 4 <= len(payload):
        length, kind = struct.unpack_from("=HH", payload, offset)
        if length < 4:
            return None
        if kind & 0x3FFF == PACKET_HDR:
            return struct.unpack_from("!I", payload, offset + 4)[0]
        offset += length + -length % 4
    return None


class Held:
    """Packets that wait, in order: none is due before one that came earlier."""

    def __init__(self, delay, jitter, chance):
        self._delay, self._jitter, self._chance = delay, jitter, chance
        self._waiting = collections.deque()
        self._last = 0.0

    def __len__(self):
        return len(self._waiting)

    def add(self, identity, now):
        """Hold a packet that came at `now`; returns when it is due."""
        due = now + self._delay + self._chance.uniform(-self._jitter, self._jitter)
        self._last = max(due, self._last)
        self._waiting.append((self._last, identity))
        return self._last

    def due(self, now):
        """Take and return the id of the last packet that is due by `now`; None when none is."""
        identity = None
        while self._waiting and self._waiting[0][0] <= now:
            identity = self._waiting.popleft()[1]
        return identity

    def next_in(self, now, longest):
        """Return the seconds until the next one is due, at most `longest`."""
        if not self._waiting:
            return longest
        return min(longest, max(0.0, self._waiting[0][0] - now))


class Queue:
    """One NFQUEUE of this network namespace, while it is entered. Raises `Refused`."""

    def __init__(self, number):
        self.number = number
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._newest = 0

    def __enter__(self):
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except OSError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self.socket.bind((0, 0))
        self.socket.settimeout(5)
        self._configure(attribute(CFG_CMD, struct.pack("!BBH", BIND, 0, 0)))
        self._configure(attribute(CFG_PARAMS, struct.pack("!IB", 0, COPY_META)))
        self._configure(attribute(CFG_MAXLEN, struct.pack("!I", MOST_HELD)))
        flags = struct.pack("!I", FAIL_OPEN)
        try:
            self._configure(attribute(CFG_MASK, flags) + attribute(CFG_FLAGS, flags))
        except Refused:
            pass  # an old kernel: when the queue is full, packets are dropped instead
        self.socket.setblocking(False)
        return self

    def __exit__(self, *_):
        self._let_all_go()
        self.socket.close()

    def _let_all_go(self):
        """Accept whatever the kernel holds, read here or not: closing a queue drops it.

        A queue without room passes what comes (fail open), and ids are compared as signed
        differences: a quarter of their range ahead is past every packet that is held.
        """
        self.socket.send(message(CONFIG, self.number, attribute(CFG_MAXLEN, struct.pack("!I", 0))))
        self.accept_up_to((self._newest + (1 << 30)) % (1 << 32))

    def _configure(self, payload):
        self.socket.send(message(CONFIG, self.number, payload, NLM_F_ACK))
        for _ in range(1000):  # packets may come between
            for kind, answer in messages(self.socket.recv(65536)):
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", answer)[0]
                    if code:
                        raise Refused(errno.errorcode.get(code, str(code)))
                    return
        raise Refused("no acknowledgement")

    def arrivals(self):
        """Return the ids of the packets that have come."""
        found = []
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                return found  # the kernel had no room for some: they passed (fail open)
            for kind, payload in messages(data):
                if kind == SUBSYSTEM_QUEUE << 8 | PACKET:
                    identity = packet_id(payload)
                    if identity is not None:
                        found.append(identity)
                        self._newest = identity

    def accept_up_to(self, identity):
        """Let every packet go on whose id is at most `identity`."""
        verdict = attribute(VERDICT_HDR, struct.pack("!II", NF_ACCEPT, identity))
        self.socket.send(message(VERDICT_BATCH, self.number, verdict))


def run(number, delay, jitter, seed, seconds):
    """Hold packets back until told to end, or for `seconds`."""
    ended = []
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ended.append(True))
    held = Held(delay, jitter, random.Random(seed))
    with Queue(number) as queue:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        end = time.monotonic() + seconds
        while not ended and time.monotonic() < end:
            wait = held.next_in(time.monotonic(), 0.5)
            select.select([queue.socket], [], [], wait)
            now = time.monotonic()
            for identity in queue.arrivals():
                held.add(identity, now)
            last = held.due(time.monotonic())
            if last is not None:
                queue.accept_up_to(last)


def main(arguments):
    """Read `--name value` pairs; returns the exit status."""
    options = {"queue": None, "delay": None, "jitter": "0", "seed": "1", "for": "86400"}
    names = [word[2:] for word in arguments[::2]]
    if len(arguments) % 2 or any(name not in options for name in names):
        sys.stderr.write(
            "usage: slow_path.py --queue N --delay S [--jitter S] [--seed N] [--for S]\n"
        )
        return 2
    options.update(zip(names, arguments[1::2]))
    try:
        run(
            int(options["queue"]),
            float(options["delay"]),
            float(options["jitter"]),
            int(options["seed"]),
            float(options["for"]),
        )
    except Refused as error:
        sys.stderr.write("queue %s cannot be had: %s\n" % (options["queue"], error))
        return 1
    except (TypeError, ValueError) as error:
        sys.stderr.write("slow_path.py: %s\n" % error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
