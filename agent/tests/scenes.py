"""An installed machine, and an engine that wants it to change."""

from agent.report import Reporter
from agent.tests.engines import FakeEngine, role_config
from agent.tests.killing import FakePlatform, Guillotine, Restarted, dying_run
from agent.tests.machines import FakeMachine

OLD, NEW = role_config(), role_config(extra="new")


class Scene:
    """An installed machine whose engine wants NEW and lets it reboot."""

    def __init__(self, folder, *, at=None, strategy="reboot"):
        self.machine, self.engine = FakeMachine(folder), FakeEngine()
        self.machine.install(OLD)
        self.engine.config, self.engine.strategy = NEW, strategy
        self.guillotine = Guillotine(at)
        self.platform = FakePlatform(self.machine, self.guillotine)
        self.platform.ends_at_restart = True
        self.now = 1e9

    def reporter(self, **settings):
        told = {"ENJOLIVER_AGENT_CHECK_SYSTEM": "no", **settings}
        run = dying_run("report", self.machine, self.engine, self.guillotine, **told)
        run.clock.now = lambda: self.now
        return Reporter(run, self.platform)

    def once(self, **settings):
        """One report; true when the machine went down for its update."""
        try:
            self.reporter(**settings).once()
        except Restarted:
            return True
        return False

    def kept(self, name):
        return self.reporter().run.store.read(name)

    def reason(self):
        return self.kept("status-report").get("reason")

    def hook(self, name, text):
        path = self.machine.write(f"etc/enjoliver/hooks/{name}", f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


def finish(scene):
    """Let the machine live until it is up to date; the number of intervals."""
    for interval in range(30):
        scene.now += 4000
        scene.once()
        step = scene.kept("status-report").get("step")
        if step == "up to date" and not scene.kept("update"):
            return interval
    raise AssertionError(scene.kept("status-report"))
