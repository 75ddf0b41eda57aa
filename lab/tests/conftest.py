"""What the lab's tests share: labs with names and networks of their own."""

from __future__ import annotations

import os
import uuid
from ipaddress import IPv4Network

import pytest

from lab import netns
from lab.computer import networks_of_this_computer
from lab.network import Network
from lab.paths import LabPaths
from lab.programs import end, marked
from lab.topology import MachineSpec, Topology


@pytest.fixture(autouse=True)
def _root_for_labs(request):
    """Tests of the mark `lab` need root, and say so instead of failing somewhere."""
    if request.node.get_closest_marker("lab") and os.geteuid() != 0:
        pytest.fail("tests of the mark `lab` make network namespaces: run them as root")


@pytest.fixture
def own_name():
    """A name that no other lab on this computer has."""
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def own_topology(own_name):
    """Two machines in two racks, in a network that this computer is not in."""
    taken = networks_of_this_computer()
    networks = (IPv4Network(f"10.{b}.{c}.0/24") for b in range(201, 250) for c in range(0, 250, 7))
    start = next(networks)
    skip = uuid.uuid4().int % 500
    candidates = [start, *networks]
    candidates = candidates[skip:] + candidates[:skip]
    network = next(one for one in candidates if not any(one.overlaps(other) for other in taken))
    specs = (MachineSpec("m1", rack="1"), MachineSpec("m2", rack="2"))
    return Topology(name=own_name, network=network, specs=specs)


@pytest.fixture
def paths(tmp_path, own_name):
    """The folder of a lab."""
    return LabPaths(tmp_path, own_name)


@pytest.fixture
def network(paths, own_topology):
    """A network that is not made yet, and of which nothing is left behind."""
    one = Network(paths, own_topology)
    yield one
    one.down()
    end(marked(paths.root))
    assert not [name for name in netns.namespaces() if name.startswith(one.namespace)]
    assert one.host_link not in netns.links()
