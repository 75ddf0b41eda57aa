"""The real Ignition on a machine's root, before anything of the machine runs.

It runs where the machine's network is, with the machine's own kernel arguments and boot id in the
place of the computer's. https://coreos.github.io/ignition/rationale/
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.drivers.base import DriverFailed

_SECONDS = 300
_FETCH = "120s"
_ROOT = "/mnt"
# In a mount namespace of Ignition's own. The root is shown at a place that everybody may enter,
# since Ignition writes a user's files as that user, and the lab's folders are root's alone.
_SCRIPT = f"""
set -eu
mount --bind "$1" /proc/cmdline
mount --bind "$2" /proc/sys/kernel/random/boot_id
mount --rbind "$3" {_ROOT}
shift 3
exec "$@"
"""


class IgnitionFailed(DriverFailed):
    """Ignition did not apply the config; the text has its last words."""


def ignite(
    program: str,
    root: Path,
    hardware: Path,
    work: Path,
    *,
    config: Path | None = None,
) -> str:
    """Fetch and apply the config; what Ignition logged. Raises IgnitionFailed.

    `config` None: the one that the kernel arguments name. `work`: a folder for this run alone.
    """
    work.mkdir(parents=True, exist_ok=True)
    platform = "metal" if config is None else "file"
    environment = {"IGNITION_CONFIG_FILE": str(config)} if config else {}
    cache, state = work / "config.json", work / "state.json"
    for left in (cache, state):
        left.unlink(missing_ok=True)
    said = ""
    for stage in ("fetch", "files"):
        command = [program, f"--platform={platform}", f"--stage={stage}", f"--root={_ROOT}"]
        command += [f"--config-cache={cache}", f"--state-file={state}", "--log-to-stdout"]
        command += [f"--fetch-timeout={_FETCH}"]
        said += _run(command, hardware, root, environment)
    return said


def _run(command: list[str], hardware: Path, root: Path, environment: Mapping[str, str]) -> str:
    bound = [str(hardware / "proc/cmdline"), str(hardware / "facts/boot_id"), str(root)]
    shell = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", *bound]
    try:
        done = subprocess.run(
            [*shell, *command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise IgnitionFailed(f"Ignition did not end within {_SECONDS} s") from error
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-2:])
        raise IgnitionFailed(f"Ignition ended with {done.returncode}:\n{last}")
    return done.stdout


def provisioned_in(root: Path) -> str:
    """The boot id in Ignition's own result; "" when there is none."""
    try:
        document = json.loads((root / "etc/.ignition-result.json").read_text())
    except (OSError, ValueError):
        return ""
    boot_id = document.get("provisioningBootID") if isinstance(document, dict) else None
    return boot_id if isinstance(boot_id, str) else ""
