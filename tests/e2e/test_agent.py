"""The real agent against a whole engine: from nothing to up to date, and through one change."""

import json
import os
import subprocess
import sys

import pytest

from agent.environment import read_environment
from agent.tests.machines import GIB, FakeMachine
from tests.e2e.engine import PATIENCE, wait_until
from tests.e2e.places import ROOT

pytestmark = pytest.mark.e2e

MAC = "52:54:a6:00:00:01"
UUID = "0d5a3c1e-66f8-4d0a-9a57-a6e27f0c1b01"
INSTALLER = """\
import os, shutil
disk, config = os.environ["ENJOLIVER_INSTALL_DISK"], os.environ["ENJOLIVER_INSTALL_IGNITION"]
with open(disk, "r+b") as file:
    file.write(b"ENJOLIVER-LAB-DISK " + os.environ["ENJOLIVER_UUID"].encode() + b"\\n")
shutil.copyfile(config, disk + ".ign")
"""
STAGE = """\
import os, pathlib, shutil
root = pathlib.Path(os.environ["ENJOLIVER_AGENT_ROOT"])
shutil.copyfile(os.environ["ENJOLIVER_STAGE_IGNITION"], root / "oem/config.ign")
"""
# Its last word may take as long as it takes: a test waits for it, a machine that reboots does not.
AGENT = """\
import sys
from agent import cli, progress
progress.LAST_SECONDS = 60
sys.exit(cli.main(sys.argv[1:]))
"""
RESTART = "import os, pathlib; pathlib.Path(os.environ['ENJOLIVER_AGENT_ROOT'], 'down').touch()"


class LabMachine(FakeMachine):
    """A machine whose installer, reset and restart are small programs."""

    def __init__(self, root, engine):
        super().__init__(root, uuid=UUID, mac=MAC, ipv4="10.64.9.9", name="r9-srv9.dc1.test")
        self.engine = engine
        self.write("etc/enjoliver/discovery", "yes")
        self.disk = self.add_disk("sda", 20 * GIB)
        self.data = self.add_disk("sdb", 10 * GIB, content=b"XFSB precious")
        self.scripts = {
            name: f"{sys.executable} {self.write(f'{name}.py', text)}"
            for name, text in {"install": INSTALLER, "stage": STAGE, "restart": RESTART}.items()
        }

    def agent(self, *arguments, timeout=2 * PATIENCE):
        """Run one verb to its end; what it said."""
        settings = {
            f"ENJOLIVER_AGENT_{name.upper()}_COMMAND": text for name, text in self.scripts.items()
        }
        settings |= {"ENJOLIVER_AGENT_CHECK_SYSTEM": "no", "ENJOLIVER_AGENT_APPLY_SECONDS": "1"}
        environment = {**os.environ, **self.environment(self.engine.url, **settings)}
        done = subprocess.run(
            [sys.executable, "-c", AGENT, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{self.engine.story()}"
        return done.stderr

    def boot_disk(self):
        """The installer's config is applied by Ignition in the first boot from the disk."""
        (self.root / "etc/enjoliver/discovery").unlink()
        self.install(self.disk.with_name("sda.ign").read_bytes())

    def status(self):
        files = ("running", "reported", "update", "status-report")
        state = self.root / "var/lib/enjoliver/agent"
        found = {name: state / f"{name}.json" for name in files}
        return {
            name: json.loads(path.read_text()) if path.exists() else {}
            for name, path in found.items()
        }

    def verdict(self):
        """Report once; the engine's verdict."""
        self.agent("report", "--once")
        return self.status()["reported"].get("is_up_to_date")

    def goes_down(self):
        """Report once; did that end in a restart?"""
        self.agent("report", "--once")
        return (self.root / "down").exists()


def test_the_agent_goes_from_nothing_to_up_to_date_and_through_a_change(engine, tmp_path):
    machine = LabMachine(tmp_path / "machine", engine)
    machine.agent("discover")
    machine.agent("install")
    row = next(one for one in engine.read("/lifecycle/coreos-install") if one["mac"] == MAC)
    assert (row["success"], row["confirmed"]) == (True, True)
    with machine.data.open("rb") as file:
        assert file.read(13) == b"XFSB precious"

    words = {one["verb"]: one for one in engine.read("/lifecycle/progress") if one["mac"] == MAC}
    assert words["discover"]["step"] == "done"
    assert words["install"]["step"] == "rebooting"
    assert words["install"]["boot_id"] == machine.boot_id

    machine.boot_disk()
    machine.agent("ready")
    wait_until(lambda: machine.verdict() is True, PATIENCE, lambda: json.dumps(machine.status()))

    membership = read_environment((machine.root / "run/enjoliver/membership.env").read_text())
    assert membership["KUBERNETES_APISERVER_COUNT"] == "1"

    engine.manage("values", "set", "ntp=ntp-agent.example.test")
    wait_until(lambda: machine.verdict() is False, PATIENCE, lambda: json.dumps(machine.status()))
    query = f"uuid={UUID}&mac={MAC}&os=installed"
    status, body = engine.ask(
        "POST", f"/lifecycle/rolling/{query}", {"strategy": "reboot"}, is_operator=True
    )
    assert status == 200, body
    before = machine.status()["running"]["sha512"]
    wait_until(machine.goes_down, PATIENCE, lambda: json.dumps(machine.status()))
    assert machine.status()["update"]["step"] == "restarting"
    machine.is_staged = True
    machine.power_cycle()
    machine.agent("ready")
    wait_until(lambda: machine.verdict() is True, PATIENCE, lambda: json.dumps(machine.status()))
    assert machine.status()["running"]["sha512"] != before
    assert machine.status()["update"] == {}
