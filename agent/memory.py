"""What is kept of an update that is under way: the step, the lock, and what it was told."""

from __future__ import annotations

from typing import Any

from agent.engine import STRATEGIES, Lock, NotNow
from agent.state import StateStore

_NAME = "update"
BEFORE_STAGING = ("asking", "held", "drained")
HOLDING = ("held", "drained", "staging", "restarting")
STEPS = ("asking", *HOLDING, "unwinding")


class UpdateMemory:
    """`update.json`: written before each step that it names. Every write may raise OSError."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._kept: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._kept)

    @property
    def step(self) -> str:
        """How far the update came; "" without one."""
        return str(self._kept.get("step", ""))

    @property
    def is_known(self) -> bool:
        """False for a step or a strategy of another version of the agent."""
        return self.step in STEPS and self.get("strategy") in STRATEGIES

    def get(self, key: str) -> Any:
        """What is kept under `key`, as it stands in the file; None when nothing is."""
        return self._kept.get(key)

    @property
    def lock(self) -> Lock:
        """Where the slot is taken and given back; raises NotNow without one."""
        lock = Lock.read(self._kept.get("lock"))
        if lock is None:
            raise NotNow("the lock is not known")
        return lock

    def recall(self) -> bool:
        """Read what is kept; False when it cannot be used, and was forgotten.

        Without a lock nothing of it can be ended: another version, or a broken disk, wrote it.
        """
        self._kept = self._store.read(_NAME)
        if self._kept and Lock.read(self._kept.get("lock")) is None:
            self.forget()
            return False
        return True

    def keep(self, **changes: Any) -> None:
        """Keep these too; nothing changed when it raises."""
        kept = {**self._kept, **changes}
        self._store.write(_NAME, kept)
        self._kept = kept

    def note(self, **changes: Any) -> None:
        """Know these too, for the time of this try."""
        self._kept = {**self._kept, **changes}

    def forget(self) -> None:
        """The update has ended."""
        self._store.forget(_NAME)
        self._kept = {}
