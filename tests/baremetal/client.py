"""Firmware's requests, sent from inside a network namespace: `python -m tests.baremetal.client`.

Prints one JSON document: the offers to a DISCOVER, the acknowledgement of the first one that has
an address, and, for proxyDHCP, the answer of port 4011.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import secrets
import socket
import time
from dataclasses import asdict

from tests.baremetal.packets import (
    ACK,
    DISCOVER,
    OFFER,
    REQUEST,
    REQUESTED,
    SERVER,
    Answer,
    Firmware,
    first_choice,
    read_answer,
    request,
)

SECONDS = 60.0
"""A bound for failure only: who has as many answers as it wants waits no longer."""
_SERVER_PORT, _CLIENT_PORT, _PXE_PORT = 67, 68, 4011


def main() -> None:
    """Ask as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--interface", required=True)
    parser.add_argument("--mac", required=True)
    parser.add_argument("--arch", type=int, required=True)
    parser.add_argument("--vendor", default="PXEClient")
    parser.add_argument("--user-class", default="")
    parser.add_argument("--offers", type=int, default=1)
    parser.add_argument("--address", default="", help="ours, from which port 4011 is asked")
    given = parser.parse_args()
    firmware = Firmware(given.arch, given.vendor, given.user_class)
    with _socket(given.interface) as link:
        print(json.dumps(_talk(link, given, firmware), default=bytes.hex))


def _talk(link: socket.socket, given: argparse.Namespace, firmware: Firmware) -> dict[str, object]:
    number = secrets.randbits(32)
    to_all = ("255.255.255.255", _SERVER_PORT)
    link.sendto(request(DISCOVER, given.mac, number, firmware), to_all)
    offers = _answers(link, number, OFFER, given.offers)
    said: dict[str, object] = {"offers": [asdict(offer) for offer in offers]}
    with_address = [offer for offer in offers if offer.address != "0.0.0.0"]
    if with_address:
        wanted = {
            REQUESTED: ipaddress.IPv4Address(with_address[0].address).packed,
            SERVER: ipaddress.IPv4Address(with_address[0].server).packed,
        }
        link.sendto(request(REQUEST, given.mac, number, firmware, wanted), to_all)
        said["acks"] = [asdict(one) for one in _answers(link, number, ACK, 1)]
    proxies = [offer for offer in offers if offer.address == "0.0.0.0" and not offer.boot_file]
    if given.address and proxies:
        choice = first_choice(proxies[0])
        packet = request(REQUEST, given.mac, number, firmware, choice, given.address)
        link.sendto(packet, (proxies[0].server, _PXE_PORT))
        said["proxy"] = [asdict(answer) for answer in _answers(link, number, ACK, 1)]
    return said


def _answers(link: socket.socket, number: int, kind: int, count: int) -> list[Answer]:
    """The first `count` answers of this kind; fewer when time is over."""
    found: list[Answer] = []
    until = time.monotonic() + SECONDS
    while len(found) < count and (left := until - time.monotonic()) > 0:
        link.settimeout(left)
        try:
            packet = link.recv(4096)
        except TimeoutError:
            break
        answer = read_answer(packet, number)
        if answer and answer.type == kind:
            found.append(answer)
    return found


def _socket(interface: str) -> socket.socket:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    link.bind(("0.0.0.0", _CLIENT_PORT))
    return link


if __name__ == "__main__":
    main()
