"""The lab's network: a namespace with a switch, and one cable from it to the engine's computer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lab import netns
from lab.computer import networks_of_this_computer
from lab.drivers.base import Say
from lab.errors import LabFailed
from lab.ledger import Ledger
from lab.netns import ip
from lab.paths import LabPaths
from lab.programs import run_json
from lab.services import Services
from lab.topology import LabMachine, Topology

ENGINE_PORT = 5000
BRIDGE = "lab0"
MACHINE_LINK = "host0"
_UPLINK = "uplink"
_RULE = "3000"


def namespace_of(lab: str, machine: str = "") -> str:
    """The namespace of a lab, or of one of its machines."""
    return f"enj-{lab}-{machine}" if machine else f"enj-{lab}"


class Network:
    """Bridge, cable, DHCP and LLDP of one lab. Every method may be repeated, and raises LabFailed.

    The engine's computer holds `host_link` with the engine's address. Nothing that comes in by
    it is forwarded, machines get no route beyond the lab, and the rule `unreachable` holds
    when something else on the computer switches forwarding on later.
    """

    def __init__(
        self, paths: LabPaths, topology: Topology, *, api_uri: str = "", say: Say = lambda _: None
    ) -> None:
        self.namespace = namespace_of(topology.name)
        digest = hashlib.sha256(topology.name.encode()).hexdigest()
        self.host_link = f"enj-{digest[:8]}"
        self._bridge_mac = f"52:54:01:{digest[8:10]}:{digest[10:12]}:{digest[12:14]}"
        self.api_uri = api_uri or f"http://{topology.engine_address}:{ENGINE_PORT}"
        self._topology = topology
        self._ledger = Ledger(paths)
        self._services = Services(paths, topology, self.namespace, self.api_uri, self._ledger)
        self._say = say

    # The whole

    def up(self) -> None:
        """Make what is not there, mend what is half made."""
        if not netns.is_root():
            raise LabFailed("The lab makes network namespaces: run it as root.")
        self._claim()
        netns.add_namespace(self.namespace)
        netns.set_kernel_value(self.namespace, "net/ipv4/ip_forward", "0")
        netns.set_kernel_value(self.namespace, "net/ipv6/conf/all/disable_ipv6", "1")
        self._make_bridge()
        self._make_cable()
        self._shut_the_way_out()
        self._services.up()

    def down(self) -> None:
        """Remove all of it, also what a killed `up` left; nothing that is not this lab's."""
        self._services.down()
        for name in reversed(self._ledger.names("namespace")):
            netns.remove_namespace(name)
            self._ledger.forget("namespace", name)
        if self._ledger.has("link", self.host_link):
            self._remove_rules()
            # It vanishes with the namespace, but somewhat later: then it is gone meanwhile.
            if self.host_link in netns.links():
                self._delete_host_link()
            self._ledger.forget("link", self.host_link)

    def problems(self) -> list[str]:
        """What is not as `up` makes it, a sentence each; empty when the network stands."""
        if not netns.is_namespace(self.namespace):
            return [f"There is no namespace {self.namespace}."]
        inner, found = netns.links(self.namespace), []
        found += [f"{name} is missing." for name in (BRIDGE, _UPLINK) if name not in inner]
        if self.host_link not in netns.links():
            found.append(f"The engine's end {self.host_link} is missing.")
        return found + self._services.problems()

    # A machine's port

    def port(self, machine: LabMachine) -> str:
        """The name of its port on the bridge."""
        return f"p{machine.position}"

    def machine_namespace(self, machine: LabMachine) -> str:
        """The name of its own namespace, whether it is there or not."""
        return namespace_of(self._topology.name, machine.name)

    def attach_namespace(self, machine: LabMachine) -> str:
        """Its own namespace with `host0`, which has its MAC and is plugged into the bridge.

        Gives the namespace's name. The link is up and has no address: DHCP gives it one.
        """
        name, port = self.machine_namespace(machine), self.port(machine)
        self._claim_namespace(name)
        netns.add_namespace(name)
        if not self._is_plugged(machine):
            self._unplug(port)
            peer = ["peer", "name", MACHINE_LINK, "address", machine.mac, "netns", name]
            ip(self.namespace, "link", "add", port, "type", "veth", *peer)
            ip(self.namespace, "link", "set", port, "up")
            ip(name, "link", "set", MACHINE_LINK, "up")
        ip(self.namespace, "link", "set", port, "master", BRIDGE)
        return name

    def tap(self, machine: LabMachine) -> str:
        """A tap port for a virtual machine, in the lab's namespace; its name."""
        port = self.port(machine)
        present = netns.links(self.namespace).get(port)
        if present is None or present.get("linkinfo", {}).get("info_kind") != "tun":
            self._unplug(port)
            ip(self.namespace, "tuntap", "add", "mode", "tap", "name", port)
            ip(self.namespace, "link", "set", port, "up")
        ip(self.namespace, "link", "set", port, "master", BRIDGE)
        return port

    def detach(self, machine: LabMachine) -> None:
        """Remove its port and its namespace, and end what runs in there."""
        name = self.machine_namespace(machine)
        if netns.is_namespace(self.namespace):
            self._unplug(self.port(machine))
        if self._ledger.has("namespace", name):
            netns.remove_namespace(name)
            self._ledger.forget("namespace", name)

    def set_link(self, machine: LabMachine, *, is_up: bool) -> None:
        """Plug the cable of its port in or out, at the switch's side."""
        ip(self.namespace, "link", "set", self.port(machine), "up" if is_up else "down")

    def is_link_up(self, machine: LabMachine) -> bool:
        """Whether its cable is plugged in."""
        if not netns.is_namespace(self.namespace):
            return False
        port = netns.links(self.namespace).get(self.port(machine))
        return port is not None and "UP" in port["flags"]

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in the lab's namespace, beside the switch."""
        return netns.inside(self.namespace, command)

    # Steps

    def _claim(self) -> None:
        """Nothing of another lab's, or of anybody's, is taken over."""
        self._claim_namespace(self.namespace)
        if not self._ledger.has("link", self.host_link):
            for taken in networks_of_this_computer():
                if taken.overlaps(self._topology.network):
                    raise LabFailed(
                        f"network: {self._topology.network} overlaps with {taken}, which this "
                        "computer is in already. Give the lab another network in its file."
                    )
            if self.host_link in netns.links():
                raise LabFailed(f"{self.host_link} is there and not this lab's.")
        self._ledger.note("link", self.host_link)

    def _claim_namespace(self, name: str) -> None:
        if netns.is_namespace(name) and not self._ledger.has("namespace", name):
            raise LabFailed(
                f"The namespace {name} is there, and this lab has not made it: another lab of the "
                f"name {self._topology.name} runs on this computer. Use another name, or take "
                "that one down."
            )
        self._ledger.note("namespace", name)

    def _make_bridge(self) -> None:
        if BRIDGE not in netns.links(self.namespace):
            ip(self.namespace, "link", "add", BRIDGE, "type", "bridge")
        # Ports forward at once: no machine waits half a minute for the spanning tree.
        words = ("type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        ip(self.namespace, "link", "set", BRIDGE, *words)
        # Its own, or it would change with the ports, and machines would look for DHCP in vain.
        ip(self.namespace, "link", "set", BRIDGE, "address", self._bridge_mac)
        address = f"{self._topology.switch_address}/{self._topology.network.prefixlen}"
        ip(self.namespace, "address", "replace", address, "dev", BRIDGE)
        ip(self.namespace, "link", "set", BRIDGE, "up")

    def _make_cable(self) -> None:
        is_half = _UPLINK in netns.links(self.namespace)
        if self.host_link in netns.links() and not is_half:
            self._delete_host_link()
        if self.host_link not in netns.links():
            peer = ("peer", "name", _UPLINK, "netns", self.namespace)
            ip("", "link", "add", self.host_link, "type", "veth", *peer)
        ip(self.namespace, "link", "set", _UPLINK, "master", BRIDGE, "up")
        self._set_host_end()

    def _set_host_end(self) -> None:
        # Before it is up: no IPv6 at all, no forwarding, no answers for the computer's other
        # addresses.
        netns.set_kernel_value("", f"net/ipv6/conf/{self.host_link}/disable_ipv6", "1")
        netns.set_kernel_value("", f"net/ipv4/conf/{self.host_link}/forwarding", "0")
        netns.set_kernel_value("", f"net/ipv4/conf/{self.host_link}/arp_ignore", "1")
        address = f"{self._topology.engine_address}/{self._topology.network.prefixlen}"
        ip("", "address", "replace", address, "dev", self.host_link)
        ip("", "link", "set", self.host_link, "up")

    def _shut_the_way_out(self) -> None:
        """Somebody who sets ip_forward=1 sets it for all links; this rule goes before routes."""
        if not self._rules():
            ip("", "rule", "add", "pref", _RULE, "iif", self.host_link, "unreachable")

    def _rules(self) -> int:
        rows = run_json(["ip", "-json", "rule", "show"])
        return sum(row.get("iif") == self.host_link for row in rows)

    def _remove_rules(self) -> None:
        for _ in range(self._rules()):
            ip("", "rule", "delete", "iif", self.host_link, "unreachable")

    def _is_plugged(self, machine: LabMachine) -> bool:
        """Whether the two ends of its cable are where they belong, whatever they are called."""
        port = netns.links(self.namespace).get(self.port(machine))
        inner = netns.links(self.machine_namespace(machine)).values()
        return port is not None and any(
            link["ifindex"] == port.get("link_index") and link["address"] == machine.mac
            for link in inner
        )

    def _unplug(self, port: str) -> None:
        if port in netns.links(self.namespace):
            ip(self.namespace, "link", "delete", port)

    def _delete_host_link(self) -> None:
        try:
            ip("", "link", "delete", self.host_link)
        except LabFailed:
            if self.host_link in netns.links():
                raise
