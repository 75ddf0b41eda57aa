"""`manage.py lab …`: the words of the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from lab.faults import ENGINE_FAULTS, MACHINE_FAULTS

_DEADLINE_SECONDS = 1800.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command a verb."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, words in (
        ("up", "make the lab and wait until all machines are up to date"),
        ("plan", "what `up` would make, leave and remove"),
    ):
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("--file", type=Path, metavar="TOPOLOGY", help="default: two machines")
        verb.add_argument("--driver", choices=("nspawn", "libvirt"), help="over the file's")
        verb.add_argument("--engine", default="", metavar="URL", help="use this one, start none")
        if name == "up":
            verb.add_argument("--wait", action=argparse.BooleanOptionalAction, default=True)
            verb.add_argument("--deadline", type=_seconds, default=_DEADLINE_SECONDS, metavar="S")
    verbs.add_parser("status", help="each machine as driver and engine see it")
    verbs.add_parser("down", help="remove the lab: everything that it made, and nothing else")
    ssh = verbs.add_parser("ssh", help="log in, or run one command")
    ssh.add_argument("machine", metavar="MACHINE")
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    console = verbs.add_parser("console", help="what a machine wrote on its console")
    console.add_argument("machine", metavar="MACHINE")
    console.add_argument("--follow", action="store_true", help="until Ctrl-C")
    power = verbs.add_parser("power", help="switch a machine")
    power.add_argument("machine", metavar="MACHINE")
    power.add_argument(
        "act",
        choices=("on", "off", "reset", "cycle"),
        help="off and cycle ask the system, reset pulls the plug",
    )
    fault = verbs.add_parser(
        "break",
        help="break a machine, or the engine",
        epilog=_fault_words(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fault.add_argument("machine", metavar="MACHINE|engine")
    fault.add_argument("fault", choices=sorted({*MACHINE_FAULTS, *ENGINE_FAULTS}))
    for name, verb in verbs.choices.items():
        verb.add_argument("--name", default="", help="which lab, where there are several")
        if name not in ("ssh", "console"):
            verb.add_argument("--json", action="store_true", help="the result as one document")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("expected seconds, more than 0")
    return seconds


def _fault_words() -> str:
    faults = [f"  MACHINE {name:14} {text}" for name, text in MACHINE_FAULTS.items()]
    engine = [f"  engine  {name:14} {text}" for name, text in ENGINE_FAULTS.items()]
    return "\n".join(["faults:", *faults, *engine])
