"""The firmware of a container machine: DHCP's messages, boot scripts, downloads."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface

import pytest

from lab.drivers.nspawn import dhcp
from lab.drivers.nspawn.firmware import Firmware, NotBootable, download, run_script
from lab.drivers.nspawn.settings import MachineFolder, Settings
from simulator.ipxe import BootDisk, BootKernel, CommandFailed, NextDevice

MAC = "52:54:00:0a:0b:0c"
SETTINGS = Settings(
    name="m1",
    lab="t",
    uuid="0b0f7f7e-8f0a-5f53-9d7c-3d2b3f2f6a11",
    mac=MAC,
    serial="S1",
    memory_mib=512,
    cpus=1,
    namespace="enj-t-m1",
    cache="/nowhere",
    downloads="/nowhere",
    ignition="/nowhere",
)


class _Handler(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[tuple[str, int]]

    def do_GET(self):
        path = self.path.partition("?")[0]
        body = self.files.get(path)
        status = 200 if body is not None else 404
        tag = f'"{hash(body)}"'
        if body is not None and self.headers.get("If-None-Match") == tag:
            status, body = 304, b""
        self.asked.append((self.path, status))
        self.send_response(status)
        self.send_header("ETag", tag)
        if path.startswith("/cut"):
            self.send_header("Content-Length", str(len(body or b"") + 10))
        elif status != 304:
            self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        """Silent."""


@contextmanager
def serving(files):
    asked: list[tuple[str, int]] = []
    handler = type("Handler", (_Handler,), {"files": files, "asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def boot(tmp_path, files):
    with serving(files) as (url, asked):
        firmware = Firmware(tmp_path, lambda _: None)
        return firmware, run_script(firmware, SETTINGS, f"{url}/boot.ipxe"), asked


CHAIN = b"#!ipxe\nchain /ipxe?uuid=${uuid}&mac=${net0/mac:hexhyp}&serial=${serial}\n"


def test_a_script_is_followed_with_the_machines_identity_to_its_kernel(tmp_path):
    files = {
        "/boot.ipxe": CHAIN,
        "/ipxe": b"#!ipxe\nkernel /k a=1 flatcar.first_boot=1\ninitrd /i\nboot\n",
        "/k": b"ENJOLIVER-LAB-KERNEL x\n",
        "/i": b"root",
    }
    firmware, outcome, asked = boot(tmp_path, files)
    assert isinstance(outcome, BootKernel)
    assert asked[1][0] == f"/ipxe?uuid={SETTINGS.uuid}&mac=52-54-00-0a-0b-0c&serial=S1"
    loaded = firmware.loaded(outcome)
    assert loaded.cmdline == "a=1 flatcar.first_boot=1"
    assert loaded.archive.read_bytes() == b"root"


def test_a_real_kernel_is_refused_in_plain_words(tmp_path):
    files = {"/boot.ipxe": b"#!ipxe\nkernel /k\ninitrd /i\nboot\n", "/k": b"MZ\0\0", "/i": b"x"}
    firmware, outcome, _ = boot(tmp_path, files)
    with pytest.raises(NotBootable, match="a real kernel"):
        firmware.loaded(outcome)


def test_the_disk_is_booted_when_the_script_says_so(tmp_path):
    files = {"/boot.ipxe": CHAIN, "/ipxe": b"#!ipxe\nsanboot --no-describe --drive 0x80 || exit\n"}
    assert boot(tmp_path, files)[1] == BootDisk("0x80")


def test_a_missing_script_or_image_leads_to_the_next_device(tmp_path):
    assert isinstance(boot(tmp_path, {"/boot.ipxe": CHAIN})[1], NextDevice)
    missing = {"/boot.ipxe": b"#!ipxe\nkernel /k\nboot\n"}
    assert isinstance(boot(tmp_path, missing)[1], NextDevice)
    with pytest.raises(CommandFailed):
        boot(tmp_path, {})


def test_a_file_is_fetched_once_and_again_when_it_changed(tmp_path):
    files = {"/i": b"one"}
    with serving(files) as (url, asked):
        assert download(f"{url}/i", tmp_path).read_bytes() == b"one"
        assert download(f"{url}/i", tmp_path).read_bytes() == b"one"
        files["/i"] = b"two"
        assert download(f"{url}/i", tmp_path).read_bytes() == b"two"
    assert [status for _, status in asked] == [200, 304, 200]


def test_a_file_that_was_cut_off_is_not_kept(tmp_path):
    with serving({"/cut": b"half"}) as (url, _), pytest.raises(OSError, match="cut off"):
        download(f"{url}/cut", tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix in ("", ".tag")]


def offer(**changes):
    """A server's offer as bytes, by RFC 2131's table."""
    told = {"53": b"\2", "54": bytes([10, 1, 0, 2]), "1": bytes([255, 255, 255, 0]), **changes}
    head = bytearray(dhcp.message(1, MAC, 77, {})[:236])
    head[0] = 2
    head[16:20] = bytes([10, 1, 0, 10])
    body = b"".join(bytes([int(code), len(text)]) + text for code, text in told.items())
    return bytes(head) + b"\x63\x82\x53\x63" + body + b"\xff"


def test_an_offer_is_read():
    answer = dhcp.parse(offer(**{"67": b"http://10.1.0.1:5000/boot.ipxe"}))
    assert answer == dhcp.Answer(
        2,
        77,
        IPv4Interface("10.1.0.10/24"),
        IPv4Address("10.1.0.2"),
        "http://10.1.0.1:5000/boot.ipxe",
    )


@pytest.mark.parametrize(
    "data", [b"", b"x" * 300, offer()[:200], offer(**{"54": b""}), b"\0" * 240]
)
def test_anything_else_is_passed_over(data):
    assert dhcp.parse(data) is None


def test_a_request_says_that_it_is_ipxe_and_asks_for_a_broadcast():
    data = dhcp.message(1, MAC, 77, {})
    assert data[28:34] == bytes.fromhex("5254000a0b0c")
    assert data[10] & 0x80
    assert b"\x4d\x04iPXE" in data


def test_phases_are_kept_with_their_times(tmp_path):
    folder = MachineFolder(tmp_path)
    assert folder.read_phases() == []
    folder.write_phase("firmware")
    folder.write_phase("off", "its container\nended with 1")
    (first, *rest), second = folder.read_phases()
    assert rest == ["firmware", ""]
    assert second[1:] == ("off", "its container ended with 1")
    assert first <= second[0]


def test_settings_come_back_as_they_were_written(tmp_path):
    folder = MachineFolder(tmp_path)
    folder.write_settings(SETTINGS)
    assert folder.read_settings() == SETTINGS
