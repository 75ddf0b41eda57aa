"""How an outdated machine changes: leave, slot, drain, tear-down, new config, restart, slot back.

`update.json` says how far it came. Each step is written down before it is taken, so that a machine
that was killed anywhere either goes on or gives back what it may hold:

    asking -> held -> drained -> staging -> restarting -> (another boot) -> slot given back
       \\________\\________\\__________\\__ unwinding ________________________/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.checks import CHECKS, Check, not_ready
from agent.client import Unreachable
from agent.engine import Lock, NotNow
from agent.hooks import HookFailed, run_hooks
from agent.ignition import BadConfig, check_config, digest
from agent.platforms.base import Platform, PlatformFailed
from agent.run import Run, waiting_reason

_MEMORY = "update"
_FAILURES = "update-failures"
NEXT_FILE = "next.ign"
HELD_SECONDS = 1800.0
"""A slot is not held longer than this for a config that does not come."""
_MAX_DOUBLINGS = 6


@dataclass(slots=True)
class Updater:
    """The update of one machine, in one boot. Callers hold the store's lock."""

    run: Run
    platform: Platform
    boot_id: str
    checks: tuple[Check, ...] = CHECKS
    _memory: dict[str, Any] = field(default_factory=dict)

    # --- in the boot that runs the old config --------------------------------------------------
    def advance(self, *, is_outdated: bool, running: bytes) -> None:
        """Go as far as possible now; returns when it has to wait, with the reason said."""
        self._memory = self.run.store.read(_MEMORY)
        lock = Lock.read(self._memory.get("lock"))
        if self._memory and (lock is None or self._memory.get("boot_id") != self.boot_id):
            return  # another boot's: `settle` ends it
        if not self._memory and not is_outdated:
            self.run.journal.say("up to date")
            return
        try:
            self._work(is_outdated, running)
        except (NotNow, Unreachable) as error:
            self.run.journal.say(self._memory.get("step", "outdated"), waiting_reason(error)[0])

    def _work(self, is_outdated: bool, running: bytes) -> None:
        if not self._memory:
            self._ask_leave()
        elif self._memory["step"] == "asking":
            self._ask_leave_again()
        step = self._memory["step"]
        if not is_outdated and step in ("asking", "held", "drained"):
            self._unwind("it is up to date meanwhile", is_failure=False)
        if self._memory.get("step") == "asking":
            self._take_slot()
        if self._memory.get("step") == "held":
            self._prepare(running)
        if self._memory.get("step") in ("drained", "staging", "restarting"):
            self._apply()
        if self._memory.get("step") == "unwinding":
            self._give_back()

    def _ask_leave(self) -> None:
        failures = self.run.store.read(_FAILURES)
        left = _number(failures.get("not_before")) - self.run.clock.now()
        if 0 < left < self._penalty(_MAX_DOUBLINGS) + 1:
            raise NotNow(f"its last update failed: {failures.get('reason')}")
        leave = self.run.engine.ask_leave(self.run.config.raw_query)
        self._keep(
            step="asking",
            strategy=leave.strategy,
            lock=leave.lock.as_dict(),
            boot_id=self.boot_id,
            since=self.run.clock.now(),
        )

    def _ask_leave_again(self) -> None:
        """The slot's server did not answer last time: the leave may have been withdrawn since."""
        try:
            self.run.engine.ask_leave(self.run.config.raw_query)
        except NotNow as error:
            if 400 <= error.status < 500:
                self._unwind(str(error), is_failure=False)
            else:
                raise

    def _take_slot(self) -> None:
        """Only a refusal proves that no slot is held; after any other answer it is asked again."""
        try:
            self.run.engine.take_slot(self._lock())
        except NotNow as error:
            if 400 <= error.status < 500:
                self._forget()
            raise
        self._keep(step="held", since=self.run.clock.now())
        self.run.journal.say("holds the slot", f"of group {self._lock().group}")

    def _prepare(self, running: bytes) -> None:
        """Fetch and check the new config, then empty the machine of work."""
        config = self.run.config
        try:
            document = self.run.engine.fetch_config(config.raw_query)
            roles = config.roles
            check_config(document, uuid=config.uuid, mac=config.boot_mac, roles=roles)
        except BadConfig as error:
            return self._unwind(f"the new config is refused: {error}")
        except (NotNow, Unreachable):
            if self.run.clock.now() - _number(self._memory.get("since")) > HELD_SECONDS:
                return self._unwind("the new config does not come")
            raise
        if document == running:
            return self._unwind("the new config is the running one", is_failure=False)
        self.run.store.write_bytes(NEXT_FILE, document)
        self._keep(sha512=digest(document))
        return self._drain()

    def _drain(self) -> None:
        self.run.journal.say("draining")
        try:
            self._hooks("drain.d")
            self._hooks("teardown.d")
        except HookFailed as error:
            self._unwind(str(error))
        else:
            self._keep(step="drained")

    def _apply(self) -> None:
        """Stage the config and restart; both are safe to repeat."""
        document = self.run.store.read_bytes(NEXT_FILE)
        if document is None or digest(document) != self._memory.get("sha512"):
            return self._unwind("the new config was lost")
        try:
            if self._memory["step"] != "restarting":
                self._keep(step="staging")
                self.platform.stage(self.run.store.folder / NEXT_FILE)
                self._keep(step="restarting")
            self.run.journal.say("restarting", f"by {self._memory['strategy']}")
            self.platform.restart(str(self._memory["strategy"]))
        except PlatformFailed as error:
            if self._memory["step"] == "staging":
                return self._unwind(str(error))
            raise NotNow(str(error)) from error
        self.run.clock.pause(self.run.config.apply_seconds)
        raise NotNow("the machine was told to restart, and did not")

    def _unwind(self, reason: str, *, is_failure: bool = True) -> None:
        """Give up this try; after a failure the next one comes later."""
        self.run.journal.say("gives up", reason)
        self._keep(step="unwinding", reason=reason, is_failure=is_failure)

    def _give_back(self) -> None:
        """Undo the drain and give the slot back, in the same boot."""
        try:
            self._hooks("uncordon.d")
        except HookFailed as error:
            raise NotNow(str(error)) from error
        self.run.engine.give_slot_back(self._lock())
        if self._memory.get("is_failure"):
            self._note_failure(str(self._memory.get("reason")))
        self._forget()

    # --- in the next boot ----------------------------------------------------------------------
    def settle(self, running: bytes | None) -> bool:
        """After a restart: once the machine is ready, give the slot back. True when all is done.

        Raises NotNow or Unreachable while that cannot be.
        """
        self._memory = self.run.store.read(_MEMORY)
        lock = Lock.read(self._memory.get("lock"))
        if lock is None or self._memory.get("boot_id") == self.boot_id:
            return True
        why = not_ready(self.run, self.checks)
        if why or running is None:
            raise NotNow(why or "nothing proves which config it runs")
        self.run.engine.report_digest(self.run.config.raw_query, digest(running))
        try:
            self._hooks("uncordon.d")
        except HookFailed as error:
            raise NotNow(str(error)) from error
        self.run.engine.give_slot_back(lock)
        self._note_end(running)
        self._forget()
        return True

    def _note_end(self, running: bytes) -> None:
        if self._memory.get("sha512") == digest(running):
            self.run.store.forget(_FAILURES)
            self.run.journal.say("updated", f"sha512 {digest(running)[:16]}")
        else:
            step = self._memory.get("step")
            self._note_failure(f"it was at '{step}' and came back with its old config")

    # --- what is kept --------------------------------------------------------------------------
    def _lock(self) -> Lock:
        lock = Lock.read(self._memory.get("lock"))
        if lock is None:
            raise NotNow("the lock is not known")
        return lock

    def _keep(self, **changes: Any) -> None:
        self._memory = {**self._memory, **changes}
        self.run.store.write(_MEMORY, self._memory)

    def _forget(self) -> None:
        self.run.store.forget(_MEMORY)
        self._memory = {}

    def _note_failure(self, reason: str) -> None:
        count = min(int(_number(self.run.store.read(_FAILURES).get("count"))), 1000) + 1
        not_before = self.run.clock.now() + self._penalty(count)
        failures = {"count": count, "reason": reason, "not_before": not_before}
        self.run.store.write(_FAILURES, failures)

    def _penalty(self, count: int) -> float:
        """Seconds to leave an update alone that failed so often."""
        return self.run.config.longest_pause_seconds * 2.0 ** min(count, _MAX_DOUBLINGS)

    def _hooks(self, folder: str) -> None:
        config = self.run.config
        environment = {
            "ENJOLIVER_STRATEGY": str(self._memory.get("strategy", "")),
            "ENJOLIVER_CONFIG_SHA512": str(self._memory.get("sha512", "")),
        }
        run_hooks(config.hooks_dir / folder, seconds=config.hook_seconds, environment=environment)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
