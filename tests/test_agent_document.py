"""What the agent posts is what the engine reads."""

import json

from agent.facts.document import collect
from agent.facts.sources import Sources
from agent.tests.machines import DATA, MAC, UUID, FakeMachine
from machines.discovery import parse_report


def test_the_engine_reads_the_agents_discovery_document(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.write("facts/lsblk.json", (DATA / "lsblk-metal.json").read_text())
    document = json.loads(json.dumps(collect(Sources(tmp_path, tmp_path))))
    report = parse_report(document)
    assert (report.uuid, report.boot_mac, report.boot_id) == (UUID, MAC, machine.boot_id)
    wired = next(one for one in report.interfaces if one.is_boot)
    assert (wired.cidrv4, wired.gateway, wired.fqdn) == (
        "10.64.0.11/14",
        "10.64.0.1",
        "r0-srv1.dc1.test",
    )
    assert [disk.serial for disk in report.disks][:2] == ["PHLJ000000001P0FGN", "S1YHNXAG800001"]
    assert report.hardware.cpu_count == 2
    assert report.lldp[0].chassis_name == "tor-rack-0"
    assert "Ignition finished successfully" in report.journal


def test_the_engine_reads_a_bare_machine_too(tmp_path):
    machine = FakeMachine(tmp_path)
    for name in ("lldp.json", "ip-route.json", "ignition.journal", "names"):
        machine.write(f"facts/{name}", "")
    for name in ("product_serial", "product_name"):
        machine.write(f"sys/class/dmi/id/{name}", "")
    report = parse_report(json.loads(json.dumps(collect(Sources(tmp_path, tmp_path)))))
    assert report.disks == ()
    assert report.lldp == ()
