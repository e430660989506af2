"""What a machine sends over its network in clear: `python3 -c THIS PEER...`, as root.

Reads hexadecimal patterns from its standard input, a line each, until an empty line; the first is a
control, which it sends to every PEER itself (UDP, port 9 "discard", RFC 863), so that a tap that is
blind is known for one. Prints `ready`, listens on the interface towards the first PEER until its
input ends, and then prints

    clear PATTERN KIND PEER COUNT      a pattern, by its number; KIND is vxlan, tcp or other
    esp PEER COUNT                     IP protocol 50
    vxlan PEER COUNT                   UDP port 4789
    tcp PORT COUNT                     segments with content, by the lower port of the two
    lost COUNT                         frames that were missed

Only frames that leave are looked at: a receiver shows decrypted ones once more (packet(7)). Needs
python3-minimal only.
"""

import collections
import select
import socket
import struct
import subprocess
import sys
import time

ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
VXLAN_PORT = 4789
CONTROLS = 5
ESP, TCP, UDP = 50, 6, 17


def interface_to(peer):
    """Return the name of the interface towards `peer`."""
    line = subprocess.run(
        ["ip", "-o", "route", "get", peer], capture_output=True, text=True, check=True, timeout=10
    ).stdout.split()
    return line[line.index("dev") + 1]


def classify(frame):
    """Return what an IPv4 frame is: its kind, its destination, and a TCP segment's lower port."""
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != ETH_P_IP:
        return None
    protocol, target = frame[23], socket.inet_ntoa(frame[30:34])
    start = 14 + (frame[14] & 0xF) * 4
    if protocol == ESP:
        return "esp", target, 0
    if protocol in (TCP, UDP) and len(frame) >= start + 4:
        ports = struct.unpack_from("!HH", frame, start)
        if protocol == UDP:
            return ("vxlan" if ports[1] == VXLAN_PORT else "other"), target, 0
        length = struct.unpack_from("!H", frame, 16)[0]
        data = start + (frame[start + 12] >> 4) * 4 if len(frame) > start + 12 else 0
        return "tcp", target, min(ports) if length > data - 14 else 0
    return "other", target, 0


def main(peers):
    """Listen until the input ends, and print what was seen."""
    patterns = []
    for line in sys.stdin:
        if not line.strip():
            break
        patterns.append(bytes.fromhex(line.strip()))
    clear = collections.Counter()
    kinds = collections.Counter()
    tcp = collections.Counter()
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    tap.bind((interface_to(peers[0]), ETH_P_ALL))
    tap.setblocking(False)
    print("ready", flush=True)
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(CONTROLS):
        for peer in peers:
            control.sendto(patterns[0], (peer, 9))
    asked, end = [tap, sys.stdin.fileno()], 0.0
    while not end or time.monotonic() < end:
        found = select.select(asked, [], [], 0 if end else None)[0]
        if tap in found:
            frame, origin = tap.recvfrom(65536)
            seen = classify(frame) if origin[2] == PACKET_OUTGOING else None
            if seen:
                kind, target, port = seen
                kinds[kind, target] += 1
                if port:
                    tcp[port] += 1
                for number, pattern in enumerate(patterns):
                    if pattern in frame:
                        clear[number, kind, target] += 1
        elif end:
            break
        if sys.stdin.fileno() in found and not end:
            # Then what is in the buffer, and no more.
            end = time.monotonic() + 1
            asked = [tap]
    for (number, kind, target), count in clear.items():
        print("clear", number, kind, target, count)
    for (kind, target), count in kinds.items():
        if kind in ("esp", "vxlan"):
            print(kind, target, count)
    for port, count in tcp.items():
        print("tcp", port, count)
    print("lost", struct.unpack("II", tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1])
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
