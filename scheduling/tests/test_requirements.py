"""What a role asks of a machine."""

import pytest

from scheduling.requirements import ANYTHING, GIB, Hardware, Requirements, find_lack

BIG = Hardware({"disk": "ssd"}, 200 * GIB, 64 * GIB, 16)


@pytest.mark.parametrize(
    ("wanted", "machine", "lack"),
    [
        (ANYTHING, Hardware(), ""),
        (Requirements({"disk": "ssd"}, 100 * GIB, 64 * GIB, 16), BIG, ""),
        (Requirements({"disk": "ssd"}), Hardware(), "has no label disk, a node asks for disk=ssd"),
        (
            Requirements({"disk": "ssd"}),
            Hardware({"disk": "hdd"}),
            "has disk=hdd, a node asks for disk=ssd",
        ),
        (
            Requirements(min_disk_bytes=300 * GIB),
            BIG,
            "its largest disk is 200 GiB, a node asks for 300 GiB",
        ),
        (
            Requirements(min_memory_bytes=GIB),
            Hardware(),
            "its memory is unknown, a node asks for 1 GiB",
        ),
        (Requirements(min_cpu_count=17), BIG, "has 16 processors, a node asks for 17"),
        (
            Requirements(min_cpu_count=1),
            Hardware(),
            "has unknown processors, a node asks for 1",
        ),
    ],
)
def test_what_a_machine_lacks_is_said_in_words(wanted, machine, lack):
    assert find_lack(wanted, machine, "a node") == lack
