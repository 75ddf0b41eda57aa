"""Small programs that tests run inside a namespace: `python -m lab.tests.inside WORD …`."""

from __future__ import annotations

import http.client
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

_COOKIE = b"\x63\x82\x53\x63"
_NO_ANSWER_SECONDS = 3.0
"""After this time nobody answers, where none shall."""
_PATIENCE_SECONDS = 120.0
"""How long an answer that shall come may take: packets of a link that is just up may be lost."""


def dhcp(interface: str, mac: str, user_class: str, seconds: str = "") -> None:
    """Ask for an address as this MAC; print what is offered, an option a line, or `nothing`.

    Asks again each second, as clients do, for `seconds` or as long as patience lasts.
    """
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
        client.bind(("", 68))
        answer = _ask(client, packet, ("255.255.255.255", 67), float(seconds or _PATIENCE_SECONDS))
        if answer:
            _print_offer(answer)
        else:
            print("nothing")


def _ask(client: socket.socket, packet: bytes, server: tuple[str, int], seconds: float) -> bytes:
    """The first answer to a packet that is sent again and again; nothing when none came."""
    deadline = time.monotonic() + seconds
    client.settimeout(1.0)
    while time.monotonic() < deadline:
        try:
            client.sendto(packet, server)
            return client.recv(2000)
        except OSError:  # no answer yet, or the link is not quite up
            time.sleep(0.1)
    return b""


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
        answer = _ask(client, query, (server, 53), _PATIENCE_SECONDS)
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
    """Print the first line of what a server says, which may take a while."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            print(_first_line(host, port, _PATIENCE_SECONDS))
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def miss(host: str, port: str) -> None:
    """Print `unreachable` where nobody answers, else the first line of what a server says."""
    try:
        print(_first_line(host, port, _NO_ANSWER_SECONDS))
    except OSError as error:
        print("unreachable", type(error).__name__)


def _first_line(host: str, port: str, seconds: float) -> str:
    connection = http.client.HTTPConnection(host, int(port), timeout=seconds)
    connection.request("GET", "/")
    return connection.getresponse().read().decode().splitlines()[0]


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
        "miss": miss,
        "serve": serve,
        "network": network,
    }
    _WORDS[sys.argv[1]](*sys.argv[2:])
