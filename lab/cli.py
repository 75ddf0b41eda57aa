"""`manage.py lab …`: what each verb does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from lab import netns, topologyfile
from lab.bringup import StepFailed, up
from lab.console import show_console
from lab.diagnosis import diagnose
from lab.driverload import LoadDriver, load_driver
from lab.drivers.base import DriverFailed, Say
from lab.errors import LabFailed
from lab.faults import break_engine, break_machine
from lab.lab import Lab, made_lab, open_lab
from lab.ledger import locked
from lab.paths import LabPaths
from lab.phases import UP_TO_DATE
from lab.plan import plan
from lab.sshkey import ssh_command
from lab.status import status
from lab.takedown import down
from lab.topologyfile import TopologyInvalid
from lab.watch import Outcome, Watch

GOOD, FAILED, WRONG_USE, TOO_LATE, INTERRUPTED = 0, 1, 2, 3, 130


def run(
    options: Mapping[str, Any],
    *,
    state_dir: Path,
    load: LoadDriver = load_driver,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Run one verb of parsed options; the exit status. Nothing raises but Ctrl-C in a log-in."""
    command = _Command(options, state_dir, load, out or sys.stdout, err or sys.stderr)
    try:
        return command.run()
    except TopologyInvalid as error:
        return command.refuse(error, WRONG_USE)
    except (LabFailed, DriverFailed) as error:
        return command.refuse(error, FAILED)
    except KeyboardInterrupt:
        command.say("Stopped. What was made stays: `lab up` goes on, `lab down` removes it.")
        return INTERRUPTED


class _Command:
    """One verb. Progress goes to the standard output, with --json to the standard error."""

    def __init__(
        self,
        options: Mapping[str, Any],
        state_dir: Path,
        load: LoadDriver,
        out: TextIO,
        err: TextIO,
    ) -> None:
        self._options = options
        self._state_dir = state_dir
        self._load = load
        self._out = out
        self._err = err
        self._is_json = bool(options.get("json"))
        self.say: Say = lambda text: print(text, file=err if self._is_json else out, flush=True)

    def run(self) -> int:
        verb = str(self._options["verb"])
        if verb != "console" and not netns.is_root():
            raise LabFailed("A lab is namespaces and machines: run this as root.")
        verbs: dict[str, Callable[[], int]] = {
            "up": self._up,
            "plan": self._plan,
            "status": self._status,
            "down": self._down,
            "ssh": self._ssh,
            "console": self._console,
            "power": self._power,
            "break": self._break,
        }
        return verbs[verb]()

    def refuse(self, error: Exception, status: int) -> int:
        """Say why it did not go on."""
        if self._is_json:
            self._print({"is_good": False, "error": str(error), **_more(error)})
        print(f"{error}", file=self._err)
        return status

    # Verbs

    def _up(self) -> int:
        lab = self._planned()
        is_waiting, deadline = self._options["wait"], self._options["deadline"]
        watch = Watch(lab, self.say)
        with locked(lab.paths):
            since = up(lab, watch, self.say)
        # Without the lock: while one waits, others may switch and break machines.
        outcome = watch.until_up_to_date(since, deadline) if is_waiting else watch.now(since)
        return self._conclude(lab, outcome)

    def _conclude(self, lab: Lab, outcome: Outcome) -> int:
        found = [
            diagnose(lab, name, outcome.phases[name], outcome.seconds[name])
            for name in (outcome.stuck if outcome.reason else ())
        ]
        if self._is_json:
            self._print(
                {
                    "is_good": not outcome.reason,
                    "error": outcome.reason,
                    "machines": outcome.phases,
                    "stuck": [one.as_json() for one in found],
                    "engine": {"url": lab.engine.url, "log": lab.engine.tail()},
                }
            )
        if not outcome.reason:
            self.say(_good_end(lab, outcome))
            return GOOD
        for line in [line for one in found for line in one.lines()]:
            print(line, file=self._err)
        if tail := lab.engine.tail():
            print(f"engine, {lab.engine.url}:\n{tail}", file=self._err)
        print(f"The lab is not up to date: {outcome.reason}.", file=self._err)
        return TOO_LATE if outcome.reason.startswith("not done") else FAILED

    def _plan(self) -> int:
        found = plan(self._planned())
        if self._is_json:
            self._print(found.as_json())
        for line in () if self._is_json else found.lines():
            self.say(line)
        return FAILED if found.obstacles else GOOD

    def _status(self) -> int:
        found = status(self._made())
        if self._is_json:
            self._print(found.as_json())
        for line in () if self._is_json else found.lines():
            self.say(line)
        return GOOD if found.is_good else FAILED

    def _down(self) -> int:
        lab = self._made()
        with locked(lab.paths, is_last=True):
            problems = down(lab, self.say)
        if self._is_json:
            self._print({"is_good": not problems, "problems": problems})
        for problem in problems:
            print(problem, file=self._err)
        self.say(f"The lab {lab.topology.name} is {'not wholly ' if problems else ''}removed.")
        return FAILED if problems else GOOD

    def _ssh(self) -> int:
        lab = self._made()
        machine = lab.machine(self._options["machine"])
        words = list(self._options["command"])
        words = words[1:] if words[:1] == ["--"] else words
        command = lab.driver.enter(machine, ssh_command(lab.paths, machine, words))
        return subprocess.run(command, check=False).returncode

    def _console(self) -> int:
        lab = self._made()
        machine = lab.machine(self._options["machine"])
        show_console(lab.driver.console(machine), self._out, is_following=self._options["follow"])
        return GOOD

    def _power(self) -> int:
        lab = self._made()
        machine, act = lab.machine(self._options["machine"]), self._options["act"]
        with locked(lab.paths):
            if act in ("off", "cycle"):
                lab.driver.power_off(machine)
            if act in ("on", "cycle"):
                lab.driver.power_on(machine)
            if act == "reset":
                lab.driver.reset(machine)
        return self._done(lab, f"{machine.name}: power {act} done")

    def _break(self) -> int:
        lab = self._made()
        with locked(lab.paths):
            if self._options["machine"] == "engine":
                break_engine(lab, self._options["fault"], self.say)
            else:
                break_machine(lab, self._options["machine"], self._options["fault"], self.say)
        return self._done(lab, "")

    # Parts of them

    def _done(self, lab: Lab, words: str) -> int:
        if words:
            self.say(words)
        if self._is_json:
            self._print(status(lab).as_json())
        return GOOD

    def _planned(self) -> Lab:
        """The lab that the file and the options ask for."""
        override = {key: self._options[key] for key in ("name", "driver") if self._options.get(key)}
        file = self._options["file"]
        topology = (
            topologyfile.load(file, **override)
            if file is not None
            else topologyfile.read({}, source="the command line", **override)
        )
        paths = LabPaths(self._state_dir, topology.name)
        return open_lab(paths, topology, engine_url=self._options["engine"], load=self._load)

    def _made(self) -> Lab:
        return made_lab(self._state_dir, self._options.get("name") or "", load=self._load)

    def _print(self, document: object) -> None:
        print(json.dumps(document, indent=2, ensure_ascii=False), file=self._out, flush=True)


def _good_end(lab: Lab, outcome: Outcome) -> str:
    count = len(outcome.phases)
    if all(phase == UP_TO_DATE for phase in outcome.phases.values()):
        return f"All {count} machines are up to date. Console: {lab.engine.url}/ui"
    return f"{count} machines are switched on; `lab status` says how far they are."


def _more(error: Exception) -> dict[str, Any]:
    if isinstance(error, TopologyInvalid):
        return {"problems": error.problems}
    return {"step": error.step} if isinstance(error, StepFailed) else {}
