"""`lab down`: removes what the ledger names, what carries the lab's mark, and the lab's folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lab.drivers.base import DriverFailed, Say, TidiesUp
from lab.errors import LabFailed
from lab.lab import Lab
from lab.programs import end_marked, run


def down(lab: Lab, say: Say) -> list[str]:
    """Remove the whole lab. What could not be removed, a sentence each: then the ledger stays,
    and `down` may be run again. Empty when nothing is left."""
    problems: list[str] = []
    # As it was made: a file that was changed since does not matter here.
    made = lab.made_topology() or lab.topology
    names = set(lab.ledger.names("machine"))
    for machine in [one for one in made.machines if one.name in names]:
        say(f"{machine.name}: removing it")
        _try(lambda machine=machine: lab.driver.power_off(machine, is_hard=True), problems)  # type: ignore[misc]
        if _try(lambda machine=machine: lab.driver.remove(machine), problems):  # type: ignore[misc]
            lab.ledger.forget("machine", machine.name)
    if isinstance(lab.driver, TidiesUp):
        _try(lab.driver.tidy, problems)
    if lab.engine.is_running:
        say("Engine: stopping it" if not lab.ledger.read().get("engine_url") else "Engine: stays")
    _try(lab.engine.stop, problems)
    say("Network: removing it")
    _try(lab.network.down, problems)
    end_marked(lab.paths.root, seconds=5.0)
    if not problems:
        _try(lambda: _remove_folder(lab.paths.root), problems)
    return problems


def _try(act: Callable[[], object], problems: list[str]) -> bool:
    """One removal; a failure is noted and does not keep the others from being tried."""
    try:
        act()
    except (LabFailed, DriverFailed, OSError) as error:
        problems.append(str(error))
        return False
    return True


def _remove_folder(folder: Path) -> None:
    """The lab's folder. What is mounted inside is unmounted and not deleted through."""
    for mount in sorted(mounts_below(folder), key=len, reverse=True):
        run(["umount", mount])
    if left := mounts_below(folder):
        raise LabFailed(f"Still mounted in the lab's folder: {', '.join(left)}")
    # The ledger last: until then, `down` knows what it is about.
    for path in folder.iterdir() if folder.exists() else ():
        if path.name != "lab.json":
            _remove(path)
    _remove(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def mounts_below(folder: Path) -> list[str]:
    """Mount points below a folder, as this process sees them."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # The kernel writes blanks and the like as octal numbers.
        point = line.split()[4].encode().decode("unicode_escape")
        if Path(point).is_relative_to(folder) and Path(point) != folder:
            found.append(point)
    return found
