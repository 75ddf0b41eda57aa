"""Losing power at any line: every write, request and step of a platform is a place to die."""

import json

from agent.client import Answer, Client
from agent.config import load_config
from agent.platforms.base import PlatformFailed
from agent.platforms.lab import MARK
from agent.run import make_run
from agent.state import StateStore
from agent.tests.machines import ScriptedClock


class Killed(BaseException):
    """The power went."""


class Restarted(BaseException):
    """The machine went down as it was told to."""


class Guillotine:
    """Kills at the `at`-th place it is passed; never, when that is None."""

    def __init__(self, at=None):
        self.at, self.passed = at, 0

    def place(self):
        self.passed += 1
        if self.at is not None and self.passed > self.at:
            self.at = None
            raise Killed


class DyingStore(StateStore):
    """A store that may die before and after each change."""

    def __init__(self, folder, guillotine):
        super().__init__(folder)
        self.guillotine = guillotine

    def write_bytes(self, name, data):
        self.guillotine.place()
        super().write_bytes(name, data)
        self.guillotine.place()

    def forget_bytes(self, name):
        self.guillotine.place()
        super().forget_bytes(name)
        self.guillotine.place()


class DirectClient(Client):
    """Asks the test's engine without a wire; may die before it asks and before it hears."""

    def __init__(self, engine, guillotine):
        super().__init__(1)
        self.engine, self.guillotine = engine, guillotine

    def send(self, method, url, body=None, headers=None):
        self.guillotine.place()
        status, value, found = self.engine.answer(
            method, url.removeprefix(self.engine.url), body or b"", headers or {}
        )
        self.guillotine.place()
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return Answer(status, data, {name.lower(): text for name, text in found.items()})


class FakePlatform:
    """A platform that writes its mark on a file, and whose restarts are new boots."""

    name = "fake"

    def __init__(self, machine, guillotine):
        self.machine, self.guillotine = machine, guillotine
        self.applied_config = machine.root / "oem/config.ign"
        self.installs, self.restarts, self.is_broken = [], [], False
        self.ends_at_restart = False

    def is_own_layout(self, disk, found):
        return found.head.startswith(MARK)

    def read_owner(self, disk, found):
        return found.head[len(MARK) :].split(b"\n")[0].decode()

    def install(self, device, config, uuid):
        if self.is_broken:
            raise PlatformFailed("the installer broke")
        self.guillotine.place()
        with device.open("r+b") as file:
            file.write(MARK + uuid.encode() + b"\n")
            self.guillotine.place()
            file.seek(4096)
            file.write(config.read_bytes())
        self.installs.append(device)
        self.guillotine.place()

    def stage(self, config):
        if self.is_broken:
            raise PlatformFailed("the reset broke")
        self.guillotine.place()
        self.machine.stage(config.read_bytes())
        self.guillotine.place()

    def restart(self, strategy):
        self.guillotine.place()
        self.restarts.append(strategy)
        self.machine.power_cycle()
        if self.ends_at_restart:
            raise Restarted


def dying_run(verb, machine, engine, guillotine, *, pauses=200, in_pause=lambda: None, **settings):
    """A run of a verb that asks without a wire, waits without time, and may die."""
    config = load_config(machine.environment(engine.url or "http://engine", **settings))
    engine.url = config.api
    run = make_run(config, verb)
    run.store = DyingStore(config.state_dir, guillotine)
    run.engine._client = DirectClient(engine, guillotine)
    run.clock = ScriptedClock(in_pause, pauses)
    return run
