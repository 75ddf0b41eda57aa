"""`install`: role, config, gate, disk, report, reboot.

What was done stands in `install.json`, written before and after each step that cannot be repeated
without harm; after a loss of power in the discovery system, the claim on the disk takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config import installed_query
from agent.diskchoice import Candidate, NoDisk, choose, read_wish
from agent.engine import Grant, NotNow
from agent.facts import disks
from agent.facts.document import Identity, NoIdentity, read_identity
from agent.gate import kept_grant
from agent.ignition import BadConfig, check_config, digest
from agent.platforms.base import Platform, PlatformFailed
from agent.run import Run
from agent.signatures import probe, write_claim
from agent.waits import Backoff

_MEMORY = "install"
CONFIG_FILE = "install.ign"
_LOCK = "install.lock"
_FAILURES_FACTOR = 10
"""After a failed install the pauses are so much longer than those of other waits."""


@dataclass(slots=True)
class Installer:
    """One machine on its way to its disk."""

    run: Run
    platform: Platform

    def work(self) -> bool:
        """All of it; False when the machine has no identity. Goes on where it was interrupted.

        One at a time: the gate would grant a second process of the same machine as well.
        """
        read_wish(self.run.config)  # a setting that cannot be used is said before any work
        with ExitStack() as stack:
            self.run.until_done("waiting", lambda: self._enter(stack))
            return self._work()

    def _enter(self, stack: ExitStack) -> None:
        try:
            stack.enter_context(self.run.store.locked(_LOCK, is_patient=False))
        except BlockingIOError:
            raise NotNow("another process of the agent installs this machine") from None
        except OSError as error:
            raise NotNow(_unkept(error)) from error

    def _work(self) -> bool:
        pause = self.run.config.longest_pause_seconds * _FAILURES_FACTOR
        failures = Backoff(pause / 20, pause, self.run.dice)
        while True:
            try:
                if self._try(read_identity(self.run.sources)):
                    return True
            except NoIdentity as error:
                self.run.journal.say("failed", str(error))
                return False
            except OSError as error:  # what concerns the disk to be written to is reported
                self.run.journal.say("failed", _unkept(error))
            self.run.clock.pause(failures.next_pause())

    def _try(self, who: Identity) -> bool:
        """One try; False when the install failed and that was reported."""
        memory = self._remember(who)
        if memory.get("step") not in ("succeeded", "failed", "reported"):
            memory = self._install(who)
        if memory["step"] == "failed":
            self._report("fail", memory)
            self.run.store.forget(_MEMORY)
            self.run.journal.say("failed", str(memory.get("reason")))
            return False
        if memory["step"] == "succeeded":
            self._report("success", memory)
            self._keep(memory, step="reported")
        return self._reboot()

    def _remember(self, who: Identity) -> dict[str, Any]:
        """What is known of this machine's install; a reboot that was made is forgotten."""
        memory = self.run.store.read(_MEMORY)
        is_known = {"step", "query", "boot_id", "attempt"} <= memory.keys()
        is_over = memory.get("step") == "reported" and memory.get("boot_id") != who.boot_id
        return memory if is_known and not is_over else {}

    def _keep(self, memory: dict[str, Any], **changes: str) -> dict[str, Any]:
        memory = {**memory, **changes}
        self.run.store.write(_MEMORY, memory)
        return memory

    def _install(self, who: Identity) -> dict[str, Any]:
        query = installed_query(who.uuid, who.mac)
        grant = self._pass_gate(who, query)
        memory = {"query": query, "boot_id": who.boot_id, "attempt": grant.attempt}
        try:
            with kept_grant(self.run, query, grant):
                memory = self._write(who, memory)
        except (NoDisk, PlatformFailed, OSError) as error:
            self.run.clock.check()  # whoever ends the agent ends its installer, too
            return self._keep(memory, step="failed", reason=str(error))
        return self._keep(memory, step="succeeded")

    def _write(self, who: Identity, memory: dict[str, Any]) -> dict[str, Any]:
        """Choose the disk and run the installer; raises NoDisk, PlatformFailed or OSError."""
        candidate = self._choose_disk(who)
        if candidate.is_own:
            self._check_wanted(who, candidate)
            if self._choose_disk(who) != candidate:  # that may have taken hours
                raise NoDisk(f"{candidate.disk.path} is not what it was a moment ago")
        device = device_of(self.run, candidate.disk)
        memory = self._keep(memory, step="writing", disk=candidate.disk.path)
        self.run.journal.say("installing", f"on {candidate.disk.path}")
        write_claim(device, who.uuid)
        self.platform.install(device, self.run.store.folder / CONFIG_FILE, who.uuid)
        return memory

    def _pass_gate(self, who: Identity, query: str) -> Grant:
        """Wait for config and gate. Having waited, it fetches the config again."""
        while True:
            self.run.until_done("waiting", lambda: self._fetch_config(who, query))
            asked: list[int] = []
            grant = self.run.until_done("gate", self._counted(asked, query))
            if len(asked) == 1:
                return grant

    def _counted(self, asked: list[int], query: str) -> Callable[[], Grant]:
        def ask() -> Grant:
            asked.append(1)
            return self.run.engine.ask_gate(query)

        return ask

    def _fetch_config(self, who: Identity, query: str) -> None:
        """Keep the role's config as served; raises NotNow, also for a config that is not ours."""
        engine = self.run.engine
        roles = engine.read_roles(who.mac)
        if not roles:
            raise NotNow("it has no role yet")
        engine.check_synced()
        document = engine.fetch_config(query)
        try:
            check_config(document, uuid=who.uuid, mac=who.mac, roles=roles)
        except BadConfig as error:
            raise NotNow(f"the config is refused: {error}") from error
        self.run.store.write_bytes(CONFIG_FILE, document)
        self.run.journal.say("config", f"of {', '.join(roles)}, sha512 {digest(document)[:16]}")

    def _choose_disk(self, who: Identity) -> Candidate:
        listed = disks.read(self.run.sources)
        wish = read_wish(self.run.config)
        return choose([look_at(self.run, self.platform, disk, who.uuid) for disk in listed], wish)

    def _check_wanted(self, who: Identity, chosen: Candidate) -> None:
        """Raises NoDisk for an own install that the engine would let the machine boot from."""
        engine = self.run.engine
        if self.run.until_done("disk", lambda: engine.boots_its_disk(who.uuid, who.mac)):
            raise NoDisk(
                f"{chosen.disk.path} carries this machine's install, and the engine did not ask "
                "for another one: it would let the machine boot from it"
            )

    def _report(self, outcome: str, memory: dict[str, Any]) -> None:
        query, attempt = str(memory["query"]), str(memory["attempt"])
        engine = self.run.engine
        self.run.until_done("reporting", lambda: engine.report_install(outcome, query, attempt))

    def _reboot(self) -> bool:
        self.run.journal.say("rebooting")

        def restart() -> None:
            try:
                self.platform.restart("reboot")
            except PlatformFailed as error:
                raise NotNow(str(error)) from error

        self.run.until_done("rebooting", restart)
        return True


def _unkept(error: OSError) -> str:
    return f"its state cannot be kept ({error.strerror})"


def look_at(run: Run, platform: Platform, disk: disks.Disk, uuid: str) -> Candidate:
    """What is on a disk, by what the system says and by its own bytes."""
    try:
        found = probe(device_of(run, disk))
    except OSError as error:
        return Candidate(disk, (f"it cannot be read ({error.strerror})",))
    is_foreign = found.claimed_by not in ("", uuid)
    content = [*disk.content, *found.signatures]
    content += [f"a claim of machine {found.claimed_by}"] if is_foreign else []
    if disk.mounts or is_foreign or not platform.is_own_layout(disk, found):
        return Candidate(disk, tuple(content))
    owner = platform.read_owner(disk, found) or found.claimed_by
    return Candidate(disk, (*content, "an install"), is_own=owner == uuid)


def device_of(run: Run, disk: disks.Disk) -> Path:
    """Where the disk is opened: a device, or a file below the hardware folder."""
    return run.sources.hardware / disk.path.lstrip("/")
