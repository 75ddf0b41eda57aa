"""Each kind of firmware is offered what it can boot, by the documented files."""

import pytest

from tests.baremetal.network import SERVER
from tests.baremetal.packets import VENDOR, Firmware
from tests.baremetal.servers import API, IPXE, ask, dnsmasq, kea

pytestmark = pytest.mark.lab

BIOS = Firmware(0)
UEFI = Firmware(7)
UEFI_9 = Firmware(9)
HTTP = Firmware(16, "HTTPClient")
SCRIPT = f"{API}/boot.ipxe"
OFFERED = [
    pytest.param(BIOS, "undionly.kpxe", id="bios"),
    pytest.param(UEFI, "snponly.efi", id="uefi"),
    pytest.param(UEFI_9, "snponly.efi", id="uefi-9"),
    pytest.param(HTTP, f"{API}/assets/ipxe/snponly.efi", id="uefi-http"),
    pytest.param(Firmware(0, user_class="iPXE"), SCRIPT, id="ipxe-on-bios"),
    pytest.param(Firmware(7, user_class="iPXE"), SCRIPT, id="ipxe-on-uefi"),
]
KNOWN, STRANGER = "52:54:00:78:00:11", "52:54:00:78:ff:01"


@pytest.fixture(scope="module", params=["dnsmasq", "kea"])
def dhcp(request, network, tmp_path_factory):
    """A whole site's server, once dnsmasq and once Kea with dnsmasq's TFTP beside it."""
    logs = tmp_path_factory.mktemp("logs")
    if request.param == "dnsmasq":
        with dnsmasq(network, logs, "dnsmasq-dhcp.conf"):
            yield request.param
    else:
        with kea(network, logs), dnsmasq(network, logs, "dnsmasq-tftp.conf"):
            yield request.param


@pytest.mark.parametrize(("firmware", "boot_file"), OFFERED)
def test_firmware_is_offered_its_boot_file(network, dhcp, firmware, boot_file):
    said = ask(network, firmware, STRANGER)
    for answer in (said["offers"][0], said["acks"][0]):
        assert answer["boot_file"] == boot_file
        assert answer["address"].startswith("10.78.0.1")
        if not boot_file.startswith("http"):
            assert answer["next_server"] == SERVER


def test_http_boot_is_answered_in_its_own_name(network, dhcp):
    (offer,) = ask(network, HTTP, STRANGER)["offers"]
    assert bytes.fromhex(offer["options"][str(VENDOR)]) == b"HTTPClient"


def test_firmware_of_an_unknown_kind_gets_an_address_and_no_boot_file(network, dhcp):
    (offer,) = ask(network, Firmware(99), STRANGER)["offers"]
    assert offer["address"].startswith("10.78.0.1")
    assert offer["boot_file"] == ""


def test_a_reserved_machine_gets_its_address_whatever_it_boots(network, dhcp):
    for firmware in (BIOS, UEFI, HTTP, Firmware(0, user_class="iPXE")):
        (ack,) = ask(network, firmware, KNOWN)["acks"]
        assert ack["address"] == "10.78.0.11"
        assert bytes.fromhex(ack["options"]["12"]) == b"r1-srv1"
        assert bytes.fromhex(ack["options"]["15"]) == b"dc1.example.org"


@pytest.mark.parametrize("name", ["undionly.kpxe", "snponly.efi"])
def test_the_offered_file_comes_by_tftp(network, dhcp, name, machine_address, tmp_path):
    target = tmp_path / name
    command = ["curl", "-sS", "--max-time", "180", "--output", str(target)]
    done = network.run(network.machine, *command, f"tftp://{SERVER}/{name}")
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == (IPXE / name).read_bytes()
