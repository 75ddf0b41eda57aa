"""Which disk is written to, and which never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands import run
from agent.diskchoice import GIB, Candidate, NoDisk, Wish, choose
from agent.facts.disks import Disk
from agent.signatures import claim_block, find_signatures, parse_claim, probe, write_claim
from agent.tests.machines import UUID


def candidate(path="/dev/sda", size=100 * GIB, *, content=(), is_own=False, **facts):
    return Candidate(Disk(path, size, **facts), content, is_own)


def test_the_smallest_suitable_disk_is_chosen_or_the_first():
    disks = [candidate("/dev/sda", 200 * GIB), candidate("/dev/sdb"), candidate("/dev/sdc")]
    assert choose(disks, Wish()).disk.path == "/dev/sdb"
    assert choose(disks, Wish(order="first")).disk.path == "/dev/sda"


def test_an_install_of_this_machine_goes_first():
    own = candidate("/dev/sdb", 500 * GIB, content=("an install",), is_own=True)
    assert choose([candidate(), own], Wish()) is own


@pytest.mark.parametrize(
    ("disk", "why"),
    [
        (candidate(content=("XFS",)), "it carries data: XFS"),
        (candidate(mounts=("/",)), "in use at /"),
        (candidate(is_own=True, content=("an install",), mounts=("/",)), "in use at /"),
        (candidate(is_removable=True), "removable"),
        (candidate(is_read_only=True), "read-only"),
        (candidate(size=GIB), "smaller"),
    ],
)
def test_a_disk_that_may_not_be_written_to_is_named_with_the_reason(disk, why):
    with pytest.raises(NoDisk, match=why):
        choose([disk], Wish())


def test_hints_by_path_serial_model_and_size():
    disks = [candidate("/dev/sda", serial="A", model="SSD"), candidate("/dev/sdb", serial="B")]
    assert choose(disks, Wish(serial="B")).disk.path == "/dev/sdb"
    assert choose(disks, Wish(path="/dev/sdb")).disk.path == "/dev/sdb"
    assert choose(disks, Wish(model="ssd")).disk.path == "/dev/sda"
    with pytest.raises(NoDisk, match="larger than"):
        choose(disks, Wish(max_bytes=50 * GIB))


def test_a_machine_without_disks_says_so():
    with pytest.raises(NoDisk, match="no disk"):
        choose([], Wish())


_disks = st.builds(
    candidate,
    st.sampled_from(["/dev/sda", "/dev/sdb", "/dev/sdc"]),
    st.integers(0, 1000 * GIB),
    content=st.sampled_from([(), ("XFS",), ("a partition table",)]),
    is_own=st.booleans(),
    mounts=st.sampled_from([(), ("/data",)]),
    is_removable=st.booleans(),
)


@given(st.lists(_disks, max_size=5))
def test_no_rule_ever_picks_a_disk_with_others_data(disks):
    try:
        chosen = choose(disks, Wish())
    except NoDisk:
        return
    assert not chosen.disk.mounts
    assert not chosen.disk.is_removable
    assert chosen.is_own or not chosen.content


@pytest.mark.parametrize(
    ("at", "mark", "name"),
    [
        (512, b"EFI PART", "GPT"),
        (510, b"\x55\xaa", "partition table"),
        (0, b"XFSB", "XFS"),
        (0x438, b"\x53\xef", "ext4"),
        (0x10040, b"_BHRfS_M", "btrfs"),
        (536 - 24, b"LABELONE", "LVM"),
        (4096, b"\xfc\x4e\x2b\xa9", "RAID"),
        (0, b"LUKS\xba\xbe", "LUKS"),
        (131072, b"\x0c\xb1\xba\x00\x00\x00\x00\x00", "ZFS"),
        ((64 << 20) - (384 << 10), b"\x0c\xb1\xba\x00\x00\x00\x00\x00", "ZFS"),
        ((64 << 20) - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00", "Intel"),
        ((64 << 20) - 512, b"\xde\x11\xde\x11", "DDF"),
        ((64 << 20) - 257 * 512, b"\x11\xde\x11\xde", "DDF"),
    ],
)
def test_signatures_of_data_are_seen_in_the_bytes(tmp_path, at, mark, name):
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(at)
        file.write(mark)
    assert name in " ".join(probe(path).signatures)


def test_bytes_of_an_unknown_kind_count_as_data_and_blank_disks_do_not():
    blank = b"\0" * 4096
    assert "unknown kind" in find_signatures(blank + b"my own database", blank)[0]
    assert find_signatures(blank, blank) == ()
    assert find_signatures(b"\xff" * 4096, b"\xff" * 4096) == ()


def test_raid_and_a_second_partition_table_are_seen_at_the_end():
    tail = bytearray(1 << 20)
    tail[-65536:-65532] = b"\xfc\x4e\x2b\xa9"
    assert "RAID" in find_signatures(b"", bytes(tail))[0]
    tail = bytearray(1 << 20)
    tail[-512:-504] = b"EFI PART"
    assert "second GPT" in find_signatures(b"", bytes(tail))[0]


def test_real_file_systems_are_seen(tmp_path):
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    assert probe(path).signatures == ()
    assert run(["mkfs.ext4", "-q", str(path)], seconds=60).is_good
    assert probe(path).signatures == ("ext2, ext3 or ext4",)


def test_a_claim_is_written_on_the_disk_and_is_no_data(tmp_path):
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    write_claim(path, UUID)
    found = probe(path)
    assert (found.claimed_by, found.signatures) == (UUID, ())


@given(st.binary(max_size=600))
def test_any_block_can_be_asked_for_a_claim(block):
    assert isinstance(parse_claim(block), str)
    assert parse_claim(claim_block(UUID)) == UUID
