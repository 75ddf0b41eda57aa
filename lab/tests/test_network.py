"""The lab's network, made for real in namespaces of its own."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.facts.lldp import parse as parse_neighbours
from lab import netns, programs, services
from lab.errors import LabFailed
from lab.ledger import Ledger
from lab.network import BRIDGE, MACHINE_LINK, Network
from lab.paths import REPOSITORY, LabPaths
from lab.programs import run
from lab.topology import MachineSpec
from lab.wait import until

pytestmark = pytest.mark.lab
INSIDE = [sys.executable, "-m", "lab.tests.inside"]


def inside(namespace, *words):
    """What a small program of `lab.tests.inside` prints in a namespace."""
    command = ["nsenter", f"--net=/run/netns/{namespace}", *INSIDE, *words]
    return run(command, folder=REPOSITORY)


@contextmanager
def server(word, host="0.0.0.0", namespace=""):
    """Something that answers each request with a word; gives its port."""
    where = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    command = [*where, *INSIDE, "serve", host, word]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()


def give_address(network, machine):
    """What DHCP's client would do with the lease."""
    name = network.attach_namespace(machine)
    netns.ip(name, "address", "replace", str(machine.address), "dev", MACHINE_LINK)
    return name


@pytest.fixture
def machines(own_topology):
    return own_topology.machines


def test_a_machine_reaches_the_engine_and_the_other_machines(network, own_topology, machines):
    network.up()
    first, second = (give_address(network, machine) for machine in machines)
    engine = str(own_topology.engine_address)
    with server("engine", host=engine) as port, server("m2", namespace=second) as other:
        assert inside(first, "get", engine, port) == "engine\n"
        assert inside(first, "get", str(machines[1].address.ip), other) == "m2\n"


def test_dhcp_gives_a_known_machine_its_address_and_no_router(network, own_topology, machines):
    network.up()
    machine = machines[0]
    name = network.attach_namespace(machine)
    said = inside(name, "dhcp", MACHINE_LINK, machine.mac, "").splitlines()
    offer = dict(line.split(" ", 1) for line in said)
    assert offer["address"] == str(machine.address.ip)
    assert offer["1"] == own_topology.network.netmask.packed.hex()
    assert "3" not in offer
    assert offer["6"] == own_topology.switch_address.packed.hex()
    assert bytes.fromhex(offer["12"]).decode() == machine.fqdn.split(".")[0]
    assert offer["file"] == ""
    assert "67" not in offer


def test_ipxe_gets_the_engines_script_and_a_stranger_gets_nothing(network, own_topology, machines):
    network.up()
    name = network.attach_namespace(machines[0])
    said = inside(name, "dhcp", MACHINE_LINK, machines[0].mac, "iPXE").splitlines()
    offer = dict(line.split(" ", 1) for line in said)
    script = bytes.fromhex(offer["67"]).rstrip(b"\0").decode()
    assert script == f"http://{own_topology.engine_address}:5000/boot.ipxe"
    assert inside(name, "dhcp", MACHINE_LINK, "52:54:00:00:00:01", "iPXE", "3") == "nothing\n"


def test_the_switch_knows_the_machines_names_and_asks_nobody(network, own_topology, machines):
    network.up()
    name = give_address(network, machines[1])
    switch = str(own_topology.switch_address)
    assert inside(name, "name", switch, str(machines[1].address.ip)) == f"{machines[1].fqdn}\n"
    assert inside(name, "name", switch, "192.0.2.1") == "code 5\n"  # REFUSED


def test_each_machine_hears_its_racks_switch_by_lldp(network, machines, tmp_path):
    network.up()
    found = {}
    folder = Path("/run") / network.namespace  # lldpd makes its socket without root's rights
    for machine in machines:
        name, socket = network.attach_namespace(machine), folder / f"test-{machine.name}"
        command = ["lldpd", "-d", "-u", str(socket), "-O", "/dev/null", "-I", MACHINE_LINK]
        programs.start(
            netns.inside(name, command), folder=tmp_path, log=tmp_path / f"{machine.name}.log"
        )
        ask = ["lldpcli", "-u", str(socket), "-f", "json", "show", "neighbors", "details"]

        def neighbours(ask=ask):
            try:
                return parse_neighbours(run(ask))
            except LabFailed:  # lldpd does not listen yet
                return None

        found[machine.name] = until(neighbours, seconds=300, what="LLDP", every=0.5)
    for machine in machines:
        (neighbour,) = found[machine.name]
        assert neighbour.interface == MACHINE_LINK
        assert neighbour.chassis_name == neighbour.chassis_id == machine.chassis
        assert neighbour.port_id == network.port(machine)


def test_a_cable_is_pulled_and_plugged_in_again(network, own_topology, machines):
    network.up()
    name = give_address(network, machines[0])
    engine = str(own_topology.engine_address)
    with server("engine", host=engine) as port:
        network.set_link(machines[0], is_up=False)
        assert not network.is_link_up(machines[0])
        assert inside(name, "miss", engine, port).startswith("unreachable")
        # Made again while the cable is out: it stays out.
        network.attach_namespace(machines[0])
        assert not network.is_link_up(machines[0])
        network.set_link(machines[0], is_up=True)
        assert network.is_link_up(machines[0])
        assert inside(name, "get", engine, port) == "engine\n"


def test_a_tap_is_a_port_of_the_bridge(network, machines):
    network.up()
    port = network.tap(machines[0])
    assert network.tap(machines[0]) == port
    link = netns.links(network.namespace)[port]
    assert link["master"] == BRIDGE
    assert link["linkinfo"]["info_kind"] == "tun"
    network.detach(machines[0])
    assert port not in netns.links(network.namespace)


def test_a_second_up_changes_nothing(network, own_topology, machines):
    network.up()
    network.attach_namespace(machines[0])
    before = _picture(network, machines[:1])
    network.up()
    network.attach_namespace(machines[0])
    assert _picture(network, machines[:1]) == before
    assert network.problems() == []


def _picture(network, machines):
    ledger = network._ledger
    names = [network.namespace, *(network.machine_namespace(machine) for machine in machines)]
    return {
        "processes": [ledger.process(name) for name in ledger.process_names()],
        "links": {
            name: {key: row["ifindex"] for key, row in netns.links(name).items()} for name in names
        },
        "rules": run(["ip", "rule"]).count(network.host_link),
    }


def test_a_new_machine_is_known_to_dhcp_and_the_old_ones_lose_no_port(network, paths, own_topology):
    network.up()
    kept = network.attach_namespace(own_topology.machines[0])
    index = netns.links(kept)[MACHINE_LINK]["ifindex"]
    longer = replace(own_topology, specs=(*own_topology.specs, MachineSpec("m3", rack="2")))
    larger = Network(paths, longer)
    larger.up()
    assert netns.links(kept)[MACHINE_LINK]["ifindex"] == index
    third = longer.machines[2]
    name = larger.attach_namespace(third)
    offer = inside(name, "dhcp", MACHINE_LINK, third.mac, "")
    assert f"address {third.address.ip}\n" in offer


@pytest.mark.parametrize(
    "damage",
    [
        lambda n: netns.ip(n.namespace, "link", "delete", BRIDGE),
        lambda n: netns.ip(n.namespace, "link", "delete", "uplink"),
        lambda n: netns.ip(n.namespace, "link", "delete", "p1"),
        lambda n: netns.ip(n.namespace, "address", "flush", "dev", BRIDGE),
        lambda n: netns.ip("", "address", "flush", "dev", n.host_link),
        lambda n: netns.ip("", "rule", "delete", "iif", n.host_link, "unreachable"),
        lambda n: netns.remove_namespace(n.namespace),
        lambda n: programs.end(netns.processes_in(n.namespace), 0),
        lambda n: shutil.rmtree(Path("/run") / n.namespace),
    ],
    ids=["bridge", "cable", "port", "switch", "engine", "rule", "namespace", "programs", "folder"],
)
def test_what_was_damaged_is_mended(network, own_topology, machines, damage):
    network.up()
    give_address(network, machines[0])
    damage(network)
    network.up()
    name = give_address(network, machines[0])
    assert network.problems() == []
    assert run(["ip", "rule"]).count(network.host_link) == 1
    engine = str(own_topology.engine_address)
    with server("engine", host=engine) as port:
        assert inside(name, "get", engine, port) == "engine\n"
    assert "address" in inside(name, "dhcp", MACHINE_LINK, machines[0].mac, "")


def test_an_empty_file_in_place_of_a_namespace_is_mended(network):
    Ledger(network._services._paths).note("namespace", network.namespace)
    Path("/run/netns").mkdir(exist_ok=True)
    (Path("/run/netns") / network.namespace).touch()
    network.up()
    assert network.problems() == []


class PowerLoss(BaseException):
    """Ends `up` as a kill does: nothing in the lab catches it."""


@pytest.mark.parametrize("next_verb", ["up", "down"])
def test_killed_at_any_step_up_is_completed_or_removed(
    paths, own_topology, network, monkeypatch, next_verb
):
    steps = _count_steps(network, own_topology, monkeypatch)
    assert steps > 25
    for step in range(1, steps + 1):
        with monkeypatch.context() as patch:
            _die_at(step, patch)
            with pytest.raises(PowerLoss):
                _make(network, own_topology)
        if next_verb == "up":
            _make(network, own_topology)
            assert network.problems() == [], step
        network.down()
        left = [name for name in netns.namespaces() if name.startswith(network.namespace)]
        assert left == [], step
        assert network.host_link not in netns.links()
        assert network.host_link not in run(["ip", "rule"])
        # One that was killed in its start had no network yet, and ends since its own is gone.
        until(lambda: not programs.marked(paths.root), seconds=60, what=f"the end of all ({step})")
        assert not (Path("/run") / network.namespace).exists()


def _make(network, topology):
    network.up()
    network.attach_namespace(topology.machines[0])


def _count_steps(network, topology, monkeypatch):
    with monkeypatch.context() as patch:
        count = _die_at(0, patch)
        _make(network, topology)
    network.down()
    return len(count)


def _die_at(step, patch):
    """Die after the `step`th thing that was done; the list of what was done."""
    done = []

    def dying(act):
        def wrapped(*arguments, **options):
            answer = act(*arguments, **options)
            if arguments[0][0] != "cat" and "show" not in arguments[0]:
                done.append(arguments)
                if len(done) == step:
                    raise PowerLoss
            return answer

        return wrapped

    patch.setattr(netns, "run", dying(programs.run))
    patch.setattr(services, "start", dying(programs.start))
    return done


def test_nothing_of_another_lab_is_taken_over_or_removed(network, own_topology, tmp_path):
    network.up()
    theirs = f"{network.namespace}-theirs"
    netns.add_namespace(theirs)
    try:
        other = Network(LabPaths(tmp_path / "other", own_topology.name), own_topology)
        with pytest.raises(LabFailed, match="another lab of the name"):
            other.up()
        other.down()
        assert network.problems() == []
        network.down()
        assert netns.is_namespace(theirs)
    finally:
        netns.remove_namespace(theirs)


def test_a_network_that_the_computer_is_in_is_refused(network, own_topology, tmp_path, own_name):
    network.up()
    second = Network(LabPaths(tmp_path, "x" + own_name), replace(own_topology, name="x" + own_name))
    with pytest.raises(LabFailed, match=r"network: .* overlaps with .* which this computer is in"):
        second.up()
    second.down()
    assert not netns.is_namespace(second.namespace)


def test_there_is_no_way_out_even_when_the_computer_forwards(own_name, own_topology, tmp_path):
    """The computer is played by a namespace, with another network behind it, and forwards."""
    computer, beyond = f"{own_name}-computer", f"{own_name}-beyond"
    lab = ("network", "up", str(tmp_path), own_name, str(own_topology.network))
    machine, engine = own_topology.machines[0], str(own_topology.engine_address)
    try:
        for name in (computer, beyond):
            netns.add_namespace(name)
        peer = ("peer", "name", "far", "netns", beyond)
        netns.ip(computer, "link", "add", "near", "type", "veth", *peer)
        for name, link, address in (
            (computer, "near", "192.0.2.1/24"),
            (beyond, "far", "192.0.2.9/24"),
        ):
            netns.ip(name, "address", "add", address, "dev", link)
            netns.ip(name, "link", "set", link, "up")
        netns.ip(beyond, "route", "add", "default", "via", "192.0.2.1")
        inside(computer, *lab)
        inner = f"enj-{own_name}-{machine.name}"
        netns.ip(inner, "address", "add", str(machine.address), "dev", MACHINE_LINK)
        routes = json.loads(run(["ip", "-json", "-n", inner, "route"]))
        assert [route["dst"] for route in routes] == [str(own_topology.network)]
        assert json.loads(run(["ip", "-json", "-n", f"enj-{own_name}", "route"]))[0]["dst"] == str(
            own_topology.network
        )
        # A machine that makes itself a route, on a computer that began to forward afterwards.
        netns.ip(inner, "route", "add", "default", "via", engine)
        netns.set_kernel_value(computer, "net/ipv4/ip_forward", "1")
        with server("beyond", namespace=beyond) as port:
            assert inside(inner, "miss", "192.0.2.9", port).startswith("unreachable")
            # Without the lab's rule it would have got out: the test sees what it looks for.
            link = Network(LabPaths(tmp_path, own_name), own_topology).host_link
            netns.ip(computer, "rule", "delete", "iif", link, "unreachable")
            assert inside(inner, "get", "192.0.2.9", port) == "beyond\n"
    finally:
        if netns.is_namespace(computer):
            inside(computer, "network", "down", *lab[2:])
        for name in (computer, beyond):
            netns.remove_namespace(name)
