"""Beside a DHCP server that stays as it is, the documented proxy says what to boot."""

import pytest

from tests.baremetal.network import SERVER
from tests.baremetal.packets import VENDOR, VENDOR_OPTIONS, Firmware
from tests.baremetal.servers import API, ask, dnsmasq, running

pytestmark = pytest.mark.lab

MAC = "52:54:00:78:ff:02"


@pytest.fixture(scope="module")
def site(network, tmp_path_factory):
    """The site's own server, which knows nothing of booting, and the proxy beside it."""
    logs = tmp_path_factory.mktemp("logs")
    other = "ip addr add 10.78.0.3/24 dev eth0 && exec dnsmasq --keep-in-foreground --port=0"
    other += " --conf-file=/dev/null --pid-file= --leasefile-ro --interface=eth0 --bind-dynamic"
    other += " --log-facility=- --dhcp-range=10.78.0.200,10.78.0.210,255.255.255.0,1h"
    command = network.command(network.engine, "sh", "-c", other)
    with running(command, logs / "site.log", ready="started"):
        with dnsmasq(network, logs, "dnsmasq-proxy.conf") as proxy:
            yield proxy
        network.run(network.engine, "ip", "addr", "del", "10.78.0.3/24", "dev", "eth0")


def offers_of(network, firmware, address=""):
    said = ask(network, firmware, MAC, offers=2, address=address)
    by_address = {offer["address"] == "0.0.0.0": offer for offer in said["offers"]}
    assert set(by_address) == {True, False}, said
    return by_address[False], by_address[True], said


@pytest.mark.parametrize("arch", [0, 7])
def test_ipxe_gets_its_address_from_the_site_and_its_script_from_the_proxy(network, site, arch):
    own, proxy, _ = offers_of(network, Firmware(arch, user_class="iPXE"))
    assert own["address"].startswith("10.78.0.2")
    assert own["boot_file"] == ""
    assert proxy["boot_file"] == f"{API}/boot.ipxe"


@pytest.mark.parametrize(
    ("arch", "file"), [(0, "undionly.kpxe"), (7, "snponly.efi"), (9, "snponly.efi")]
)
def test_firmware_gets_ipxe_from_the_proxy(network, site, machine_address, arch, file):
    _, proxy, said = offers_of(network, Firmware(arch), machine_address)
    assert bytes.fromhex(proxy["options"][str(VENDOR)]) == b"PXEClient"
    (answer,) = said.get("proxy", [proxy])
    assert answer["boot_file"] == file
    assert answer["next_server"] == SERVER


def test_a_machine_that_does_not_boot_by_network_hears_nothing_of_the_proxy(network, site):
    said = ask(network, Firmware(0, "udhcp 1.35"), MAC, offers=1)
    assert said["offers"][0]["address"].startswith("10.78.0.2")
    assert str(VENDOR_OPTIONS) not in said["offers"][0]["options"]
