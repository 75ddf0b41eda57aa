"""Writes the configuration of supervisor: an INI file in the state directory."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterable
from pathlib import Path

from enjoliver.engine.processes.config import RunConfig
from enjoliver.engine.processes.errors import CannotStart
from enjoliver.engine.processes.programs import Program

_ROTATION = {"maxbytes": "10MB", "backups": "5"}
# A program that lived shorter counts as not started: it is tried again after 1, 2, 3… seconds.
START_SECONDS = 5


def supervisor_file(config: RunConfig, programs: Iterable[Program], directory: Path) -> str:
    """The text of supervisord.conf, for a supervisor started in the state directory.

    No network listener, no socket: signals are enough.
    """
    sections = [_section("supervisord", _supervisor(config))]
    sections += [
        _section(f"program:{program.name}", _program(config, program, directory))
        for program in programs
    ]
    return "\n".join(sections)


def _supervisor(config: RunConfig) -> dict[str, str]:
    options = {
        "nodaemon": "true",
        "silent": "true",  # our own process reads its log and says it in plain words
        "logfile": _from_state_dir(config, log_path(config, "supervisor")),
        "pidfile": "supervisord.pid",
        "childlogdir": _from_state_dir(config, config.logs_dir),
        "umask": "022",
        **{f"logfile_{key}": value for key, value in _ROTATION.items()},
    }
    if os.geteuid() == 0:
        options["user"] = pwd.getpwuid(0).pw_name  # said aloud, else supervisor complains
    return options


def _program(config: RunConfig, program: Program, directory: Path) -> dict[str, str]:
    return {
        "command": shlex.join(program.command),
        "directory": str(directory),
        "priority": str(program.priority),
        "autostart": "true",
        "autorestart": "true",
        "startsecs": str(START_SECONDS),
        "startretries": "1000000",  # a database that is away for hours shall not end us
        "stopsignal": "TERM",
        "stopwaitsecs": str(program.stop_seconds),
        "stopasgroup": str(program.stops_as_group).lower(),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _from_state_dir(config, log_path(config, program.name)),
        **{f"stdout_logfile_{key}": value for key, value in _ROTATION.items()},
    }


def log_path(config: RunConfig, program_name: str) -> Path:
    """The log file of one program."""
    return config.logs_dir / f"{program_name}.log"


def _from_state_dir(config: RunConfig, path: Path) -> str:
    """A relative path: supervisor expands `%` in names of log files twice, so they hold none."""
    return str(path.relative_to(config.state_dir))


def _section(name: str, options: dict[str, str]) -> str:
    lines = [f"{key} = {_escaped(value)}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _escaped(value: str) -> str:
    """`%` begins an expansion in supervisor's files; ` ;` would begin a comment."""
    if " ;" in value:
        raise CannotStart([f"A path must not have a semicolon after a space: {value}"])
    return value.replace("%", "%%")
