"""The command line: one verb, a few options, plain words when something is wrong."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from agent import VERSION
from agent.config import BadSetting, Config, load_config
from agent.discover import discover
from agent.facts.document import NoIdentity, collect
from agent.facts.sources import Sources
from agent.install import Installer
from agent.membership import Membership, membership_kept
from agent.platforms.choice import find_platform
from agent.report import Reporter, ready
from agent.run import Run, make_run
from agent.status import as_words, read_status
from agent.statuspage import status_page
from agent.waits import Clock, Stopped

logger = logging.getLogger("enjoliver-agent")
USAGE_ERROR = 2
_OPTIONS = {
    "api": ("ENJOLIVER_API_URI", "the engine's address"),
    "state_dir": ("ENJOLIVER_AGENT_STATE_DIR", "where the agent keeps its state"),
    "root": ("ENJOLIVER_AGENT_ROOT", "look for this system's files below this folder"),
    "hardware": ("ENJOLIVER_AGENT_HARDWARE", "look for firmware and disks below this folder"),
}

_HELP = {
    "status": "health, version, what each verb does and waits for, and what is missing",
    "discover": "report what this machine is, until it has a role",
    "install": "install the machine's role on its disk, and reboot",
    "report": "report the running config each interval; update when it is this machine's turn",
    "ready": "wait until the machine is ready, then give its slot back",
    "facts": "show what `discover` would report, and send nothing",
    "etcd": "not in this version",
    "pki": "not in this version",
}
_FLAGS = (
    ("status", "--json", "as JSON"),
    ("discover", "--once", "only until its facts were taken"),
    ("report", "--once", "one report, and what follows from it; 1 when it was not taken"),
)


def main(arguments: Sequence[str]) -> int:
    """Run one verb; the exit status: 0 done, 1 failed, 2 cannot start."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(levelname)s %(message)s",
        stream=sys.stderr,
    )
    told = {name: getattr(options, key) for key, (name, _) in _OPTIONS.items()}
    config = load_config(os.environ, {name: text for name, text in told.items() if text})
    try:
        return _VERBS[options.verb](config, options)
    except BadSetting as error:
        logger.error("%s", error)
        return USAGE_ERROR
    except Stopped:
        logger.info("stopped")
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="enjoliver-agent",
        description="Reports, installs and updates this machine, as Enjoliver's engine says.",
        epilog="Ends with 0 when done, 1 when it failed, 2 when it cannot start: then a setting is "
        "missing or wrong, and the line says which. All settings: docs/agent.md.",
    )
    parser.add_argument("--version", action="version", version=f"enjoliver-agent {VERSION}")
    parser.add_argument("--verbose", action="store_true", help="say more")
    for key, (name, words) in _OPTIONS.items():
        parser.add_argument(f"--{key.replace('_', '-')}", help=f"{words} ({name})")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    parsers = {
        verb: verbs.add_parser(verb, help=words, description=f"{words[0].upper()}{words[1:]}.")
        for verb, words in _HELP.items()
    }
    for verb, option, words in _FLAGS:
        parsers[verb].add_argument(option, action="store_true", help=words)
    return parser


def _status(config: Config, options: argparse.Namespace) -> int:
    status = read_status(config)
    sys.stdout.write(json.dumps(status, indent=2) if options.json else as_words(status))
    sys.stdout.write("\n")
    return 0 if status["healthy"] else 1


def _discover(config: Config, options: argparse.Namespace) -> int:
    with _prepared(config, "discover") as run:
        return 0 if discover(run, is_once=options.once) else 1


def _facts(config: Config, options: argparse.Namespace) -> int:
    try:
        document = collect(Sources(config.root, config.hardware))
    except NoIdentity as error:
        logger.error("%s", error)
        return 1
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


def _install(config: Config, options: argparse.Namespace) -> int:
    if not config.is_discovery_system:
        raise BadSetting("this is not the discovery system: nothing is installed from here")
    with _prepared(config, "install") as run:
        return 0 if Installer(run, find_platform(config)).work() else 1


def _report(config: Config, options: argparse.Namespace) -> int:
    _check_installed(config)
    with _prepared(config, "report") as run:
        reporter = Reporter(run, find_platform(config))
        if options.once:
            Membership.of(run).refresh()
            reporter.once()
            return 0 if reporter.reported.sent else 1
        with status_page(run, reporter.reported), membership_kept(run):
            reporter.forever()
    return 0


def _ready(config: Config, options: argparse.Namespace) -> int:
    _check_installed(config)
    with _prepared(config, "ready") as run:
        ready(run, find_platform(config))
    return 0


def _check_installed(config: Config) -> None:
    if config.is_discovery_system:
        raise BadSetting("this is the discovery system: it has no config to report")
    if not (config.raw_query and config.uuid and config.boot_mac):
        raise BadSetting("ENJOLIVER_RAW_QUERY is missing: who is this machine?")


@contextmanager
def _prepared(config: Config, verb: str) -> Iterator[Run]:
    """A run that SIGTERM and Ctrl-C end in order; raises BadSetting when it cannot start."""
    if not config.api:
        raise BadSetting("ENJOLIVER_API_URI is missing: where is the engine?")
    run = make_run(config, verb)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_soon(run.clock))
    run.teller.start()
    try:
        yield run
    finally:
        run.teller.stop()


def stop_soon(clock: Clock) -> None:
    """Tell the agent to end, from a signal's handler.

    By a thread: the handler runs between two lines of whatever the main thread does, also of the
    event's own methods, whose lock it would wait for until the process is killed.
    """
    threading.Thread(target=clock.stop.set, name="stop", daemon=True).start()


def _not_yet(config: Config, options: argparse.Namespace) -> int:
    logger.error("%s: not in this version", options.verb)
    return USAGE_ERROR


_VERBS: dict[str, Callable[[Config, argparse.Namespace], int]] = {
    "discover": _discover,
    "facts": _facts,
    "install": _install,
    "report": _report,
    "ready": _ready,
    "status": _status,
    "etcd": _not_yet,
    "pki": _not_yet,
}
