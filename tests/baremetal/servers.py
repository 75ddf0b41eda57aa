"""The real servers, each with a documented file, in the servers' namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enjoliver.common.polling import wait_until
from tests.baremetal.network import ENGINE, REPOSITORY, Network
from tests.baremetal.packets import Firmware

EXAMPLES = REPOSITORY / "docs" / "examples" / "baremetal"
IPXE = Path("/usr/lib/ipxe")
API = f"http://{ENGINE}:5000"
WORKER = "enjoliver.engine.web.worker.DownloadWorker"  # as `make run`


@dataclass(frozen=True, slots=True)
class Running:
    """A server, with the file that it writes what it does to."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """Everything that it has written."""
        return self.log.read_text(errors="replace")


@contextmanager
def running(
    command: Sequence[str], log: Path, *, ready: str, environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """Start a server, wait until its log has `ready`, and stop it at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command),
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
        )
    server = Running(process, log)
    try:
        wait_until(
            lambda: ready in server.said() or process.poll() is not None,
            seconds=180,
            what=f"{command} says {ready!r}",
        )
        assert process.poll() is None, server.said()
        yield server
    finally:
        process.terminate()
        process.wait(90)  # gunicorn lets requests end, for half a minute


def dnsmasq(network: Network, tmp_path: Path, name: str) -> Any:
    """dnsmasq with docs/examples/baremetal/NAME."""
    arguments = [f"--conf-file={EXAMPLES / name}", "--keep-in-foreground", "--pid-file="]
    command = network.server_command("dnsmasq", *arguments, "--log-facility=-")
    return running(command, tmp_path / f"{name}.log", ready="started")


def kea(network: Network, tmp_path: Path) -> Any:
    """Kea with docs/examples/baremetal/kea-dhcp4.json, where AppArmor lets it read that."""
    own = f"mount -t tmpfs none /etc/kea && cp {EXAMPLES / 'kea-dhcp4.json'} /etc/kea/k.conf && "
    start = f"{own} exec kea-dhcp4 -c /etc/kea/k.conf"
    command = network.server_command("sh", "-c", start)
    return running(command, tmp_path / "kea.log", ready="DHCP4_STARTED")


def engine(network: Network, tmp_path: Path) -> Any:
    """The engine's web server alone, at the examples' address: boot routes and assets."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "enjoliver.settings",
        "ENJOLIVER_STATE_DIR": str(tmp_path / "engine"),
        "ENJOLIVER_BIND": f"{ENGINE}:5000",
        "ENJOLIVER_API_URI": API,
        "DATABASE_URL": "",
    }
    for arguments in (
        ["migrate", "--verbosity=0"],
        ["assets", "add", str(IPXE / "snponly.efi"), "--path", "ipxe/snponly.efi"],
    ):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            check=True,
            capture_output=True,
            cwd=REPOSITORY,
            env={**os.environ, **environment},
        )
    web = [sys.executable, "-m", "gunicorn", "--bind", f"{ENGINE}:5000", "--threads", "4"]
    web += ["--access-logfile", "-", "--worker-class", WORKER, "enjoliver.wsgi:application"]
    command = network.command(network.engine, *web)
    return running(
        command, tmp_path / "engine.log", ready="Booting worker", environment=environment
    )


def ask(
    network: Network, firmware: Firmware, mac: str, *, offers: int = 1, address: str = ""
) -> dict[str, Any]:
    """What a machine with this firmware is told; see `tests.baremetal.client`."""
    command = [sys.executable, "-m", "tests.baremetal.client", "--interface", "eth0"]
    command += ["--mac", mac, "--arch", str(firmware.arch), "--vendor", firmware.vendor]
    command += ["--user-class", firmware.user_class, "--offers", str(offers)]
    done = network.run(network.machine, *command, "--address", address)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said
