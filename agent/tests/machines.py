"""A machine of the tests: a folder with its firmware, interfaces, disks and files."""

import gzip
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from agent.waits import Clock, Stopped

DATA = Path(__file__).parent / "data"
UUID = "652812fc-19d9-5a64-aa53-07f18badd780"
MAC = "52:54:00:00:00:01"
GIB = 1 << 30


class ScriptedClock(Clock):
    """A clock whose pauses take no time; in each of them something may happen."""

    def __init__(self, in_pause=lambda: None, pauses=1000):
        super().__init__()
        self.in_pause, self.left, self.paused = in_pause, pauses, []

    def pause(self, seconds):
        self.paused.append(seconds)
        self.left -= 1
        if self.left < 0:
            raise Stopped
        self.in_pause()


class FakeMachine:
    """The files of one machine below `root`; power can be cycled."""

    def __init__(self, root, *, uuid=UUID, mac=MAC, ipv4="10.64.0.11", name="r0-srv1.dc1.test"):
        self.root, self.uuid, self.mac = root, uuid, mac
        self.write("sys/class/dmi/id/product_uuid", uuid)
        self.write("sys/class/dmi/id/product_serial", "SN-1")
        self.write("sys/class/dmi/id/sys_vendor", "Enjoliver")
        self.write("sys/class/dmi/id/product_name", "Test")
        self.write("proc/cpuinfo", "processor\t: 0\nprocessor\t: 1\n")
        self.write("proc/meminfo", "MemTotal:        2048000 kB\n")
        self.write("proc/cmdline", f"flatcar.first_boot=1 BOOTIF=01-{mac.replace(':', '-')}")
        self.write("facts/names", name)
        self.write("facts/ip-addr.json", json.dumps([_loopback(), _wired(mac, ipv4)]))
        self.write("facts/ip-route.json", '[{"dst":"default","gateway":"10.64.0.1","dev":"eth0"}]')
        self.write("facts/lldp.json", (DATA / "lldp-one.json").read_text())
        self.write("facts/ignition.journal", (DATA / "ignition.journal").read_text())
        self.is_staged = False
        self.new_boot()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def new_boot(self):
        self.boot_id = str(uuid.uuid4())
        self.write("facts/boot_id", self.boot_id)

    def power_cycle(self):
        """Another boot; Ignition applies what was staged."""
        self.new_boot()
        if self.is_staged:
            self.provision()

    def stage(self, document):
        """What flatcar-reset does: put the config in its place, to be applied at the next start."""
        self.write("oem/config.ign", "").write_bytes(document)
        self.is_staged = True

    def provision(self):
        """What Ignition does at a first boot: apply the config, say so, write its files."""
        self.is_staged = False
        self.write("etc/.ignition-result.json", json.dumps(self.ignition_result()))
        document = json.loads((self.root / "oem/config.ign").read_bytes())
        for entry in document["storage"]["files"]:
            contents = entry.get("contents") or {}
            data = urlopen(contents.get("source") or "data:,").read()
            is_packed = contents.get("compression") == "gzip"
            path = self.write(entry["path"].lstrip("/"), "")
            path.write_bytes(gzip.decompress(data) if is_packed else data)

    def ignition_result(self):
        """As Ignition writes it."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {
            "provisioningBootID": self.boot_id,
            "provisioningDate": now,
            "userConfigProvided": True,
        }

    def install(self, document):
        """The installed system after its first boot."""
        self.stage(document)
        self.power_cycle()

    def add_disk(self, name, size_bytes=64 * GIB, *, content=b"", **files):
        """A disk whose first bytes are `content`; the file is sparse."""
        self.write(f"sys/block/{name}/size", str(size_bytes // 512))
        for key, text in {"removable": "0", "ro": "0", "queue/rotational": "0", **files}.items():
            self.write(f"sys/block/{name}/{key}", text)
        path = self.write(f"dev/{name}", "")
        with path.open("r+b") as file:
            file.write(content)
            file.truncate(size_bytes)
        return path

    def environment(self, api, **settings):
        """The settings of its agent."""
        return {
            "ENJOLIVER_API_URI": api,
            "ENJOLIVER_AGENT_ROOT": str(self.root),
            "ENJOLIVER_AGENT_POLL_SECONDS": "0.02",
            "ENJOLIVER_AGENT_LONGEST_PAUSE_SECONDS": "0.3",
            "ENJOLIVER_AGENT_PLATFORM": "lab",
            **settings,
        }


def _loopback():
    info = [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]
    return {"ifname": "lo", "address": "00:00:00:00:00:00", "addr_info": info}


def _wired(mac, ipv4):
    info = [{"family": "inet", "local": ipv4, "prefixlen": 14, "scope": "global"}]
    return {"ifname": "eth0", "address": mac, "addr_info": info}
