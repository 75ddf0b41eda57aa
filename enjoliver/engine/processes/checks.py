"""What must be true before anything is started; each problem names the setting to change.

What a setting may be at all is a system check (`enjoliver.engine.checks`), which every command
runs; here is what depends on this machine.
"""

from __future__ import annotations

import os
import shutil
import socket

from enjoliver.engine.processes.config import RunConfig, split_address


def configuration_problems(config: RunConfig) -> list[str]:
    """Problems that stay, whatever else runs on this machine."""
    problems = [_state_dir_problem(config), _matchbox_problem(config)]
    problems += [
        f"{name} is {count}: it must be at least 1."
        for name, count in (
            ("ENJOLIVER_WEB_WORKERS", config.web_workers),
            ("ENJOLIVER_WEB_THREADS", config.web_threads),
        )
        if count < 1
    ]
    return [problem for problem in problems if problem]


def port_problems(config: RunConfig) -> list[str]:
    """Addresses that cannot be listened on now. Asked after leftovers of our own were cleared."""
    problems = [_port_problem("ENJOLIVER_BIND", config.bind)]
    if config.matchbox_bind:
        problems.append(_port_problem("ENJOLIVER_MATCHBOX_BIND", config.matchbox_bind))
        if split_address(config.bind)[1] == split_address(config.matchbox_bind)[1]:
            problems.append(
                f"ENJOLIVER_BIND={config.bind} and ENJOLIVER_MATCHBOX_BIND={config.matchbox_bind} "
                "name the same port: give each its own."
            )
    return [problem for problem in problems if problem]


def _state_dir_problem(config: RunConfig) -> str:
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"ENJOLIVER_STATE_DIR={config.state_dir} cannot be made: {error.strerror}."
    if not os.access(config.state_dir, os.W_OK | os.X_OK):
        return f"ENJOLIVER_STATE_DIR={config.state_dir} is not writable for this user."
    if any(not character.isprintable() for character in str(config.state_dir)):
        return "ENJOLIVER_STATE_DIR has a control character in its name."
    return ""


def _matchbox_problem(config: RunConfig) -> str:
    if config.matchbox_bind is None or shutil.which(config.matchbox_bin):
        return ""
    return (
        f"The matchbox program is not at {config.matchbox_bin}: run `make setup`, name it in "
        "ENJOLIVER_MATCHBOX_BIN, or name running instances in ENJOLIVER_MATCHBOX_URLS."
    )


def _port_problem(setting: str, address: str) -> str:
    host, port = split_address(address)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the servers do: a port in TIME_WAIT is free, one that is listened on is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        return (
            f"{setting}={address} cannot be listened on: {error.strerror}. "
            "Stop what uses it, or set another address."
        )
    return ""
