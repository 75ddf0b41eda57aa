"""One network for all tests here; each starts the servers that it is about."""

import os
import shutil

import pytest

from tests.baremetal.network import own_network
from tests.baremetal.servers import IPXE, engine

NEEDED = ("ip", "dnsmasq", "kea-dhcp4", "curl")


@pytest.fixture(scope="session")
def network():
    """Namespaces and the programs that run in them, or a failure that says what is missing."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    missing += [] if (IPXE / "undionly.kpxe").exists() else ["the package ipxe"]
    assert not missing, f"not installed: {', '.join(missing)}"
    assert os.geteuid() == 0, "network namespaces need root"
    with own_network() as made:
        yield made


@pytest.fixture(scope="session")
def running_engine(network, tmp_path_factory):
    """The engine at 10.78.0.1:5000."""
    with engine(network, tmp_path_factory.mktemp("engine")) as server:
        yield server


@pytest.fixture
def machine_address(network):
    """The machine with an address, as it has one once DHCP has answered."""
    network.run(network.machine, "ip", "addr", "add", "10.78.0.50/24", "dev", "eth0")
    yield "10.78.0.50"
    network.run(network.machine, "ip", "addr", "del", "10.78.0.50/24", "dev", "eth0")
