"""`python -m bench.jobs.serve PROGRAM`: become a server exactly as `make run` starts it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from bench.jobs.setup import set_up_django

_PR_SET_PDEATHSIG = 1  # prctl(2)


def command_of(program: str) -> tuple[str, ...]:
    """The command line; `bare` is the web server's with an empty Django behind it, and with plain
    gthread workers: the engine's own bring its packages along."""
    set_up_django()
    from enjoliver.engine.processes.config import config_from_settings
    from enjoliver.engine.processes.programs import matchbox_command, web_command

    config = config_from_settings()
    if program == "matchbox":
        return matchbox_command(config)
    command = web_command(config)
    if program == "bare":
        at = command.index("--worker-class") + 1
        command = (*command[:at], "gthread", *command[at + 1 :])
        return tuple("bench.bare:application" if ":app" in word else word for word in command)
    return command


if __name__ == "__main__":
    command = command_of(sys.argv[1])
    # Survives exec: the server ends with the process that started it, however that one ends.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(command[0], command)
