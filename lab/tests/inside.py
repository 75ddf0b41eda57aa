"""Small programs that tests run inside a namespace: `python -m lab.tests.inside WORD …`."""

from __future__ import annotations

import http.client
import socket
import struct
import sys
import threading
from collections.abc import Callable

_COOKIE = b"\x63\x82\x53\x63"
_NO_ANSWER_SECONDS = 3.0


def dhcp(interface: str, mac: str, user_class: str) -> None:
    """Ask for an address as this MAC; print what is offered, an option a line, or `nothing`."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    # BOOTREQUEST over Ethernet, broadcast flag: the answer needs no address of ours.
    header = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1AB, 0, 0x8000) + bytes(16)
    options = b"\x35\x01\x01" + b"\x37\x06\x01\x03\x06\x0c\x0f\x43"
    if user_class:
        options += bytes([77, len(user_class)]) + user_class.encode()
    packet = header + hardware.ljust(16, b"\0") + bytes(192) + _COOKIE + options + b"\xff"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.settimeout(_NO_ANSWER_SECONDS)
        client.bind(("", 68))
        client.sendto(packet, ("255.255.255.255", 67))
        try:
            _print_offer(client.recv(2000))
        except TimeoutError:
            print("nothing")


def _print_offer(packet: bytes) -> None:
    print("address", socket.inet_ntoa(packet[16:20]))
    print("file", packet[108:236].rstrip(b"\0").decode())
    rest = packet[240:]
    while rest and rest[0] != 255:
        length = rest[1]
        print(rest[0], rest[2 : 2 + length].hex())
        rest = rest[2 + length :]


def name(server: str, address: str) -> None:
    """Print the name that a DNS server has for an address, or the code of its refusal."""
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    question = b"".join(bytes([len(part)]) + part.encode() for part in reverse.split("."))
    query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question + b"\0\0\x0c\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_NO_ANSWER_SECONDS)
        client.sendto(query, (server, 53))
        answer = client.recv(2000)
    code, count = answer[3] & 15, struct.unpack("!H", answer[6:8])[0]
    if code or not count:
        print("code", code)
        return
    rest, parts = answer[len(query) + 12 :], []
    while rest[0]:
        parts.append(rest[1 : 1 + rest[0]].decode())
        rest = rest[1 + rest[0] :]
    print(".".join(parts))


def get(host: str, port: str) -> None:
    """Print the first line of what a server says, or `unreachable`."""
    connection = http.client.HTTPConnection(host, int(port), timeout=_NO_ANSWER_SECONDS)
    try:
        connection.request("GET", "/")
        print(connection.getresponse().read().decode().splitlines()[0])
    except OSError as error:
        print("unreachable", type(error).__name__)


def serve(host: str, word: str) -> None:
    """Answer each request with a word; print the port, end when the input ends."""
    body = f"HTTP/1.0 200 OK\r\nContent-Length: {len(word)}\r\n\r\n{word}".encode()
    with socket.create_server((host, 0)) as server:
        print(server.getsockname()[1], flush=True)
        threading.Thread(target=_answer, args=(server, body), daemon=True).start()
        sys.stdin.read()


def _answer(server: socket.socket, body: bytes) -> None:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(2000)
            connection.sendall(body)


def network(verb: str, state_dir: str, lab: str, lab_network: str) -> None:
    """`up` or `down` of a lab's network, with this namespace as the engine's computer."""
    from ipaddress import IPv4Network
    from pathlib import Path

    from lab.network import Network
    from lab.paths import LabPaths
    from lab.topology import Topology

    topology = Topology(name=lab, network=IPv4Network(lab_network))
    made = Network(LabPaths(Path(state_dir), lab), topology)
    if verb == "down":
        made.down()
        return
    made.up()
    for machine in topology.machines:
        made.attach_namespace(machine)


if __name__ == "__main__":
    _WORDS: dict[str, Callable[..., None]] = {
        "dhcp": dhcp,
        "name": name,
        "get": get,
        "serve": serve,
        "network": network,
    }
    _WORDS[sys.argv[1]](*sys.argv[2:])
