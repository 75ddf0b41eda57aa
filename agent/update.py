"""How an outdated machine changes: leave, slot, drain, tear-down, new config, restart, slot back.

`update.json` says how far it came. Each step is written down before it is taken, so that a machine
that was killed anywhere either goes on or gives back what it may hold:

    asking -> held -> drained -> staging -> restarting -> (another boot) -> slot given back
       \\________\\________\\__________\\__ unwinding ________________________/
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from agent.checks import CHECKS, Check, not_ready
from agent.client import Unreachable
from agent.engine import NotNow
from agent.failures import Failures, number
from agent.hooks import HookFailed, run_hooks
from agent.ignition import BadConfig, check_config, digest
from agent.memory import BEFORE_STAGING, HOLDING, UpdateMemory
from agent.platforms.base import Platform, PlatformFailed
from agent.run import Run, waiting_reason

NEXT_FILE = "next.ign"
HELD_SECONDS = 1800.0
"""A slot is not held longer than this for a config that does not come."""


@dataclass(slots=True)
class Updater:
    """The update of one machine, in one boot. Callers hold the store's lock."""

    run: Run
    platform: Platform
    boot_id: str
    checks: tuple[Check, ...] = CHECKS
    _memory: UpdateMemory = field(init=False)

    def __post_init__(self) -> None:
        self._memory = UpdateMemory(self.run.store)

    # --- in the boot that runs the old config --------------------------------------------------
    def advance(self, *, is_outdated: bool, running: bytes) -> None:
        """Go as far as possible now; returns when it has to wait, with the reason said."""
        self._recall()
        if self._memory and self._memory.get("boot_id") != self.boot_id:
            return  # another boot's: `settle` ends it
        if not self._memory and not is_outdated:
            self.run.journal.say("up to date")
            return
        try:
            try:
                self._work(is_outdated, running)
            except OSError as error:
                self._let_go(error)
        except (NotNow, Unreachable) as error:
            self.run.journal.say(self._memory.step or "outdated", waiting_reason(error)[0])

    def _work(self, is_outdated: bool, running: bytes) -> None:
        was_asked = self._memory.step == "asking"
        self._ask_leave() if not self._memory else self._look_again()
        if not is_outdated and self._memory.step in BEFORE_STAGING:
            self._unwind("it is up to date meanwhile", is_failure=False)
        if self._memory.step == "asking":
            self._take_slot(was_asked=was_asked)
        if self._memory.step == "held":
            self._prepare(running)
        if self._memory.step in ("drained", "staging", "restarting"):
            self._apply()
        if self._memory.step == "unwinding":
            self._give_back()

    def _ask_leave(self) -> None:
        self._failures.check()
        leave = self.run.engine.ask_leave(self.run.config.raw_query)
        self._memory.keep(
            step="asking",
            strategy=leave.strategy,
            lock=leave.lock.as_dict(),
            boot_id=self.boot_id,
            since=self.run.clock.now(),
        )

    def _look_again(self) -> None:
        """An update that was begun before: is it still wanted, and the slot still held?"""
        step = self._memory.step
        if not self._memory.is_known:
            reason = f"it kept a step that it does not know: {step[:40]!r}"
            self._unwind(reason, is_failure=False)
        elif step == "asking":
            self._ask_leave_again()
        elif step in HOLDING:
            self._hold_on()

    def _ask_leave_again(self) -> None:
        """The slot's server did not answer last time: the leave may have been withdrawn since.

        It may also hold the slot since then, and whoever took the slot of a policy has begun and is
        to finish: the engine asks for the leave again where it gives such a slot, so that its next
        answer proves one or the other. All other groups ask nobody.
        """
        try:
            self.run.engine.ask_leave(self.run.config.raw_query)
        except NotNow as error:
            if not 400 <= error.status < 500:
                raise
            if not self.run.engine.asks_leave_for(self._memory.lock):
                self._unwind(str(error), is_failure=False)

    def _hold_on(self) -> None:
        """Ask once more for a slot that is held: nothing changes, unless an operator released it.

        Then another machine may be down already. Silence is no reason to give up.
        """
        try:
            self.run.engine.take_slot(self._memory.lock)
        except Unreachable:
            return
        except NotNow as error:
            if not 400 <= error.status < 500:
                return
            if self._memory.step == "restarting":  # it is staged: wait, since undo it cannot
                raise
            self._unwind(f"it holds its slot no more: {error}", is_failure=False)

    def _take_slot(self, *, was_asked: bool) -> None:
        """Only a refusal proves that no slot is held; after any other answer it is asked again.

        `was_asked`: an earlier request had no answer. It may have been heard, or be heard still, so
        a refusal, which may be a proxy's, proves nothing: then the slot is given back.
        """
        self.run.clock.check()
        try:
            self.run.engine.take_slot(self._memory.lock)
        except NotNow as error:
            if 400 <= error.status < 500 and was_asked:
                self._unwind(str(error), is_failure=False)
            elif 400 <= error.status < 500:
                self._memory.forget()
            raise
        self._memory.keep(step="held", held_at=self.run.clock.monotonic())
        self.run.journal.say("holds the slot", f"of group {self._memory.lock.group}")

    def _prepare(self, running: bytes) -> None:
        """Fetch and check the new config, then empty the machine of work."""
        config = self.run.config
        self.run.clock.check()
        try:
            document = self.run.engine.fetch_config(config.raw_query)
            roles = config.roles
            check_config(document, uuid=config.uuid, mac=config.boot_mac, roles=roles)
        except BadConfig as error:
            return self._unwind(f"the new config is refused: {error}")
        except (NotNow, Unreachable):
            held = self.run.clock.monotonic() - number(self._memory.get("held_at"))
            if held > HELD_SECONDS:  # in one boot: no wall clock is put back or forth
                return self._unwind("the new config does not come")
            raise
        if document == running:
            return self._unwind("the new config is the running one, which is called outdated")
        self.run.store.write_bytes(NEXT_FILE, document)
        self._memory.keep(sha512=digest(document))
        return self._drain()

    def _drain(self) -> None:
        self.run.journal.say("draining")
        try:
            self._hooks("drain.d")
            self._hooks("teardown.d")
        except HookFailed as error:
            self.run.clock.check()  # whoever ends the agent ends its hooks, too
            self._unwind(str(error))
        else:
            self._memory.keep(step="drained")

    def _apply(self) -> None:
        """Stage the config and restart; both are safe to repeat."""
        self.run.clock.check()
        document = self.run.store.read_bytes(NEXT_FILE)
        if document is None or digest(document) != self._memory.get("sha512"):
            return self._unwind("the new config was lost")
        try:
            if self._memory.step != "restarting":
                self._memory.keep(step="staging")
                self.platform.stage(self.run.store.folder / NEXT_FILE)
                self._memory.keep(step="restarting")
            self.run.journal.say("restarting", f"by {self._memory.get('strategy')}")
            self.platform.restart(str(self._memory.get("strategy")))
        except PlatformFailed as error:
            self.run.clock.check()
            if self._memory.step == "staging":
                return self._unwind(str(error))
            raise NotNow(str(error)) from error
        self.run.clock.pause(self.run.config.apply_seconds)
        if self._memory.get("strategy") == "kexec":
            self._memory.keep(strategy="reboot")
        raise NotNow("the machine was told to restart, and did not")

    def _unwind(self, reason: str, *, is_failure: bool = True) -> None:
        """Give up this try; after a failure the next one comes later.

        What is no failure has a name of its own: the engine counts machines that give up.
        """
        self.run.journal.say("gives up" if is_failure else "gives its slot back", reason)
        self._memory.keep(step="unwinding", reason=reason, is_failure=is_failure)

    def _give_back(self) -> None:
        """Undo the drain and give the slot back, in the same boot."""
        try:
            self._hooks("uncordon.d")
        except HookFailed as error:
            raise NotNow(str(error)) from error
        self.run.engine.give_slot_back(self._memory.lock)
        if self._memory.get("is_failure"):
            with suppress(OSError):  # then it is tried again sooner
                self._failures.note(str(self._memory.get("reason")))
        self._memory.forget()

    def _let_go(self, error: OSError) -> None:
        """The disk takes no more, so the machine cannot go on: nobody shall wait for its slot.

        The slot goes first: should its memory stay, it asks again before anything else.
        """
        if self._memory.step not in BEFORE_STAGING:
            raise error
        reason = f"its state cannot be kept ({error.strerror})"
        self.run.journal.say("gives up", reason)
        self._memory.note(reason=reason, is_failure=True)
        self._give_back()

    # --- in the next boot ----------------------------------------------------------------------
    def settle(self, running: bytes | None) -> bool:
        """After a restart: once the machine is ready, give the slot back. True when all is done.

        Raises NotNow or Unreachable while that cannot be.
        """
        self._recall()
        if not self._memory or self._memory.get("boot_id") == self.boot_id:
            return True
        why = not_ready(self.run, self.checks)
        if why or running is None:
            raise NotNow(why or "nothing proves which config it runs")
        self.run.engine.report_digest(self.run.config.raw_query, digest(running))
        try:
            self._hooks("uncordon.d")
        except HookFailed as error:
            raise NotNow(str(error)) from error
        self.run.engine.give_slot_back(self._memory.lock)
        self._note_end(running)
        self._memory.forget()
        return True

    def _note_end(self, running: bytes) -> None:
        if self._memory.get("sha512") == digest(running):
            self._failures.forget()
            self.run.journal.say("updated", f"sha512 {digest(running)[:16]}")
        else:
            step = self._memory.step
            self._failures.note(f"it was at '{step}' and came back with its old config")

    # --- what is kept --------------------------------------------------------------------------
    @property
    def _failures(self) -> Failures:
        return Failures(self.run)

    def _recall(self) -> None:
        if not self._memory.recall():
            self.run.journal.say("gives up", "what it kept of an update cannot be read")

    def _hooks(self, folder: str) -> None:
        config = self.run.config
        environment = {
            "ENJOLIVER_STRATEGY": str(self._memory.get("strategy") or ""),
            "ENJOLIVER_CONFIG_SHA512": str(self._memory.get("sha512") or ""),
        }
        run_hooks(config.hooks_dir / folder, seconds=config.hook_seconds, environment=environment)
