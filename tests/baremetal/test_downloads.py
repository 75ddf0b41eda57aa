"""Assets over the real web server with the real curl: parts, resuming, versions, huge files."""

import os
from pathlib import Path

import pytest

from tests.baremetal.packets import Firmware
from tests.baremetal.servers import API, ask, dnsmasq

pytestmark = pytest.mark.lab

GIB = 1 << 30
CONTENT = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def assets(running_engine):
    """The folder behind the running engine's /assets."""
    return running_engine.log.parent / "engine" / "matchbox" / "assets"


@pytest.fixture
def url(assets):
    (assets / "image.bin").write_bytes(CONTENT)
    return f"{API}/assets/image.bin"


@pytest.fixture
def curl(network, machine_address, tmp_path):
    """Run curl on the machine; answers its status, headers and what it wrote."""

    def run(*arguments, target="out", seconds=120):
        done = network.run(
            *(network.machine, "curl", "-sS", "--max-time", str(seconds), "-D", "-"),
            *("-o", str(tmp_path / target), *arguments),
            seconds=seconds + 10,
        )
        assert done.returncode == 0, done.stderr
        status, *lines = done.stdout.strip().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = tmp_path / target
        return int(status.split()[1]), headers, body.read_bytes() if body.is_file() else b""

    return run


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-99", 0, 99),
        ("1000-", 1000, len(CONTENT) - 1),
        ("-7", len(CONTENT) - 7, len(CONTENT) - 1),
    ],
)
def test_a_part_is_exactly_what_was_asked_for(curl, url, asked, first, last):
    status, headers, body = curl("-r", asked, url)
    assert (status, body) == (206, CONTENT[first : last + 1])
    assert headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


def test_a_download_that_broke_off_is_resumed(curl, url, tmp_path):
    (tmp_path / "half").write_bytes(CONTENT[:500_000])
    status, headers, body = curl("-C", "-", url, target="half")
    assert (status, body) == (206, CONTENT)
    assert headers["content-length"] == str(len(CONTENT) - 500_000)


def test_a_part_of_a_version_that_is_gone_is_the_whole_file(curl, url, assets):
    tag = curl("-I", url)[1]["etag"]
    assert curl("-r", "5-9", "-H", f"If-Range: {tag}", url)[0] == 206
    (assets / "image.bin").write_bytes(CONTENT[::-1])
    status, _, body = curl("-r", "5-9", "-H", f"If-Range: {tag}", url)
    assert (status, body) == (200, CONTENT[::-1])


def test_head_tells_the_size_and_that_parts_can_be_had(curl, url):
    status, headers, _ = curl("-I", url)
    assert status == 200
    assert headers["content-length"] == str(len(CONTENT))
    assert headers["accept-ranges"] == "bytes"


def test_an_unchanged_file_is_not_sent_again(curl, url):
    tag = curl("-I", url)[1]["etag"]
    assert curl("-H", f"If-None-Match: {tag}", url)[0] == 304


def test_beyond_the_end_is_416(curl, url):
    status, headers, _ = curl("-r", f"{len(CONTENT)}-", url)
    assert (status, headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")


def test_an_image_of_many_gigabytes_takes_no_memory(curl, assets, running_engine):
    big = f"{API}/assets/big.bin"
    with (assets / "big.bin").open("wb") as file:
        file.truncate(2 * GIB)
    curl("-r", "0-99", big)
    before = memory_mib(running_engine.process.pid)
    status, headers, _ = curl(big, target="/dev/null", seconds=300)
    assert (status, headers["content-length"]) == (200, str(2 * GIB))
    assert memory_mib(running_engine.process.pid) - before < 20
    os.truncate(assets / "big.bin", 5 * GIB)
    status, _, body = curl("-r", f"{5 * GIB - 3}-", big)
    assert (status, body) == (206, b"\0\0\0")


def test_machines_that_are_cut_off_in_a_download_hold_nothing(curl, network, assets, url):
    with (assets / "slow.bin").open("wb") as file:
        file.truncate(GIB)
    for _ in range(6):  # more than the server has threads
        cut = network.run(
            *(network.machine, "curl", "-sS", "-o", "/dev/null", "--max-time", "0.5"),
            *("--limit-rate", "100k", f"{API}/assets/slow.bin"),
        )
        assert cut.returncode == 28, cut.stderr
    assert curl("-r", "0-1", url)[0] == 206


def test_uefi_http_boot_gets_ipxe_from_the_address_it_was_offered(network, curl, tmp_path):
    with dnsmasq(network, tmp_path, "dnsmasq-dhcp.conf"):
        (offer,) = ask(network, Firmware(16, "HTTPClient"), "52:54:00:78:ff:03")["offers"]
    status, headers, body = curl(offer["boot_file"])
    assert (status, body) == (200, Path("/usr/lib/ipxe/snponly.efi").read_bytes())
    assert headers["content-type"] == "application/octet-stream"
    script = curl(f"{API}/boot.ipxe")[2].decode()
    assert script.startswith("#!ipxe\n")
    assert f"{API}/ipxe?uuid=" in script


def memory_mib(pid):
    """Private memory of a process and its children, without shared files."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = sum(int(line.split()[1]) for line in own.splitlines() if line.startswith("Private_"))
    return kib / 1024 + sum(memory_mib(child) for child in children)
