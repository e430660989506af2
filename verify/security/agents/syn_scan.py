"""Which TCP ports of other machines answer: `python3 - ROUNDS ADDRESS...`, as root.

A SYN goes to every port from a raw socket, and whoever answers SYN-ACK is open (the kernel, which
knows nothing of it, ends the connection with RST). So a port whose packets are dropped costs as
little as one that refuses. A packet may be lost: who does not answer is asked ROUNDS times.

Prints `ADDRESS PORT,PORT,...`, a line an address. Needs python3-minimal only.
"""

import array
import random
import socket
import struct
import sys
import time

SYN, SYN_ACK, FLAGS = 0x02, 0x12, 0x3F
EVERY = range(1, 65536)
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
BATCH = 128
LAST_ANSWER_SECONDS = 1.0


def only_to(receiver, port):
    """Let the kernel drop everything but what comes to `port` (classic BPF, linux/filter.h)."""
    program = [
        (0xB1, 0, 0, 0),  # X = length of the IP header
        (0x48, 0, 0, 2),  # A = destination port
        (0x15, 0, 1, port),
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    ]
    # An array, because ctypes is not in python3-minimal.
    code = array.array("B", b"".join(struct.pack("HBBI", *line) for line in program))
    receiver.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), code.buffer_info()[0])
    )


def own_address(peer):
    """Return the address from which this machine speaks to `peer`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect((peer, 9))
        return asked.getsockname()[0]


def words(data):
    """Return the sum of a header's 16-bit words."""
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def syn(source_port, sequence, pseudo, port):
    """Return a TCP SYN without options; `pseudo` is the sum of the pseudo header (RFC 9293)."""
    rest = struct.pack("!IIBBH", sequence, 0, 5 << 4, SYN, 64240)
    total = pseudo + source_port + port + words(rest)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!HH", source_port, port) + rest + struct.pack("!HH", ~total & 0xFFFF, 0)


def collect(receiver, found, silent):
    """Take in the answers that have come: who answers is silent no more, SYN-ACK says open."""
    while True:
        try:
            packet, (address, _) = receiver.recvfrom(128)
        except BlockingIOError:
            return
        start = (packet[0] & 0xF) * 4
        if address in found:
            (port,) = struct.unpack_from("!H", packet, start)
            silent[address].discard(port)
            if packet[start + 13] & FLAGS == SYN_ACK:
                found[address].add(port)


def main(rounds, addresses):
    """Scan, and print what is open."""
    source_port = random.randint(33000, 60000)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as wire:
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        only_to(wire, source_port)
        wire.setblocking(False)
        found = {address: set() for address in addresses}
        silent = {address: set(EVERY) for address in addresses}
        for _ in range(rounds):
            for address in addresses:
                source = socket.inet_aton(own_address(address))
                pseudo = words(source + socket.inet_aton(address)) + socket.IPPROTO_TCP + 20
                sequence = random.getrandbits(32)
                for number, port in enumerate(sorted(silent[address]), start=1):
                    segment = syn(source_port, sequence, pseudo, port)
                    try:
                        wire.sendto(segment, (address, 0))
                    except (BlockingIOError, InterruptedError):
                        time.sleep(0.001)
                        wire.sendto(segment, (address, 0))
                    if number % BATCH == 0:
                        collect(wire, found, silent)
            until = time.monotonic() + LAST_ANSWER_SECONDS
            while time.monotonic() < until and any(silent.values()):
                collect(wire, found, silent)
                time.sleep(0.02)
    for address, ports in found.items():
        print(address, ",".join(map(str, sorted(ports))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
