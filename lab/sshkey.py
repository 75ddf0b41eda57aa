"""The lab's own SSH key, and how one gets into a machine with it."""

from __future__ import annotations

from collections.abc import Sequence

from lab.paths import LabPaths
from lab.programs import run
from lab.topology import LabMachine

USER = "core"
"""The user that the Ignition configs give the keys to."""


def make_key(paths: LabPaths) -> None:
    """Make the key if it is not there, whole; only this user may read it."""
    if paths.ssh_key.exists() and paths.ssh_public_key.exists():
        return
    paths.ssh.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = paths.ssh / "new"
    for half in (new, new.with_suffix(".pub")):
        half.unlink(missing_ok=True)
    comment = f"lab {paths.name}"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(new)])
    new.replace(paths.ssh_key)
    # The public half last: with it the key is whole.
    new.with_suffix(".pub").replace(paths.ssh_public_key)


def ssh_command(
    paths: LabPaths, machine: LabMachine, command: Sequence[str] = (), *, seconds: int = 10
) -> list[str]:
    """The command line of a log-in, or of one command on the machine; `seconds` to connect.

    It must be run where the machine's network is: see `Driver.enter`. Host keys are not looked
    at: a lab's machines are installed anew all the time, and nobody else is in their network.
    """
    options = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "ConnectTimeout": str(seconds),
        **({"BatchMode": "yes"} if command else {}),
    }
    words = ["ssh", "-F", "/dev/null", "-i", str(paths.ssh_key)]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return [*words, f"{USER}@{machine.address.ip}", *(["--", *command] if command else [])]
