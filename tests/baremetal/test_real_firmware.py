"""Stock firmware in virtual machines finds its way to the engine by the documented files.

SeaBIOS with the network card's iPXE, and OVMF with its own PXE and HTTP boot, in software
emulation: the disk stays empty, the proof ends where the engine is asked for the machine's script.
"""

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from enjoliver.common.polling import wait_until
from tests.baremetal.servers import dnsmasq, kea
from tests.baremetal.test_proxy import site  # noqa: F401 - a fixture

OVMF = Path("/usr/share/OVMF")
SECONDS = 600
"""For firmware in software emulation on a busy computer; some 30 s on an idle one."""
pytestmark = [
    pytest.mark.lab,
    pytest.mark.vm,
    pytest.mark.skipif(
        not (shutil.which("qemu-system-x86_64") and (OVMF / "OVMF_CODE_4M.fd").exists()),
        reason="qemu-system-x86 and ovmf are not installed",
    ),
]
BIOS = ("-machine", "pc")
ONLY_HTTP = (
    *("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no"),
    *("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"),
)


def uefi(tmp_path):
    """OVMF with variables of its own, and no iPXE on the card."""
    variables = tmp_path / "vars.fd"
    shutil.copy(OVMF / "OVMF_VARS_4M.fd", variables)
    return (
        *("-machine", "q35"),
        *("-drive", f"if=pflash,format=raw,readonly=on,file={OVMF / 'OVMF_CODE_4M.fd'}"),
        *("-drive", f"if=pflash,format=raw,file={variables}"),
    )


@contextmanager
def virtual_machine(network, tmp_path, mac, *arguments, card=""):
    """A machine that boots over the network; yields the file with its console."""
    tap, console = f"tap{mac[-2:]}", tmp_path / "console.log"
    network.add_tap(tap)
    command = network.command(
        *(network.servers, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512"),
        *("-display", "none", "-serial", f"file:{console}", "-monitor", "none", "-nodefaults"),
        *("-netdev", f"tap,id=net,ifname={tap},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net,mac={mac},bootindex=0{card}"),
        *("-device", "virtio-rng-pci", "-no-reboot", *arguments),
    )
    with (tmp_path / "qemu.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield console
        assert process.poll() is None, (tmp_path / "qemu.log").read_text()
    finally:
        process.terminate()
        process.wait(60)


def asks_the_engine(engine, mac, console):
    """Wait until the machine with this MAC has followed /boot.ipxe to /ipxe."""
    asked = f"mac={mac.replace(':', '-')}"
    try:
        wait_until(lambda: asked in engine.said(), seconds=SECONDS, what=f"GET /ipxe?…{asked}")
    except TimeoutError as error:
        raise AssertionError(f"{error}\n{console.read_text(errors='replace')[-3000:]}") from error
    assert "GET /boot.ipxe" in engine.said()


@pytest.mark.parametrize("server", ["dnsmasq", "kea"])
def test_bios_with_ipxe_comes_to_the_engine(network, running_engine, tmp_path, server):
    mac = "52:54:00:78:ee:01" if server == "dnsmasq" else "52:54:00:78:ee:04"
    dhcp = kea(network, tmp_path)
    if server == "dnsmasq":
        dhcp = dnsmasq(network, tmp_path, "dnsmasq-dhcp.conf")
    with dhcp, virtual_machine(network, tmp_path, mac, *BIOS) as console:
        asks_the_engine(running_engine, mac, console)


def test_uefi_loads_ipxe_by_tftp_and_comes_to_the_engine(network, running_engine, tmp_path):
    mac = "52:54:00:78:ee:02"
    with dnsmasq(network, tmp_path, "dnsmasq-dhcp.conf") as server:
        with virtual_machine(network, tmp_path, mac, *uefi(tmp_path), card=",romfile=") as console:
            asks_the_engine(running_engine, mac, console)
        assert "sent /usr/lib/ipxe/snponly.efi" in server.said()


def test_uefi_loads_ipxe_over_http_and_comes_to_the_engine(network, running_engine, tmp_path):
    mac = "52:54:00:78:ee:03"
    machine = (*uefi(tmp_path), *ONLY_HTTP)
    with dnsmasq(network, tmp_path, "dnsmasq-dhcp.conf") as server:
        with virtual_machine(network, tmp_path, mac, *machine, card=",romfile=") as console:
            asks_the_engine(running_engine, mac, console)
        assert "sent /usr/lib/ipxe/snponly.efi" not in server.said()
    assert "GET /assets/ipxe/snponly.efi" in running_engine.said()


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_firmware_comes_to_the_engine_by_the_proxy(
    network,
    running_engine,
    site,  # noqa: F811
    tmp_path,
    firmware,
):
    mac = "52:54:00:78:ee:05" if firmware == "bios" else "52:54:00:78:ee:06"
    machine = BIOS if firmware == "bios" else uefi(tmp_path)
    card = "" if firmware == "bios" else ",romfile="
    with virtual_machine(network, tmp_path, mac, *machine, card=card) as console:
        asks_the_engine(running_engine, mac, console)
