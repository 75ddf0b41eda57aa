"""The demo's story against the fake engine."""

import asyncio
import io

import pytest
from rich.console import Console

from simulator.display import Display
from simulator.fleet import Fleet
from simulator.operator import Operator
from simulator.scenario import Scenario
from simulator.story import Backstage, Stopped, Story, StoryFailed
from simulator.tests.fake_engine import FakeEngine


class Stage:
    """A fake engine with a revision number, and everything a story needs."""

    def __init__(self, engine=None, **options):
        self.engine = engine or FakeEngine()
        self.text = io.StringIO()
        self.console = Console(file=self.text, width=120)
        self.number, self.alive = 1, True
        self.options = {"patience": 120.0, "password": "secret", **options}

    async def revision(self):
        return self.number

    async def change_value(self):
        self.engine.ntp += "x"
        self.number += not self.options.get("stands_still", False)
        return "ntp, from a to b"

    def tell(self, after=lambda story: story.tell):
        async def show():
            async with self.engine.serve():
                return await self._show(after)

        asyncio.run(show())
        return self.text.getvalue()

    async def _show(self, after):
        display = Display(self.console, machines=3, title="demo")
        scenario = Scenario(url=self.engine.url, machines=3, interval=0.05)
        async with Fleet(scenario, display.machine_says) as fleet:
            password = self.options["password"]
            story = Story(
                fleet=fleet,
                display=display,
                operator=Operator(fleet.world.client, self.engine.url, "admin", password),
                backstage=Backstage(self.revision, self.change_value, lambda: self.alive),
                stop=asyncio.Event(),
                patience=self.options["patience"],
            )
            await after(self, story)


async def whole(stage, story):
    await story.tell(stage.console)


def test_the_story_ends_with_all_machines_up_to_date_again():
    stage = Stage()
    shown = stage.tell(whole)
    assert "All up to date again" in shown
    assert "1 → 2" in shown
    assert "at most 1 machine down at once" in shown
    assert not stage.engine.strategies


def test_a_second_story_finishes_what_an_interrupted_one_left():
    stage = Stage()

    async def interrupted(stage, story):
        await whole(stage, story)
        await stage.change_value()
        outdated = lambda: all(one.is_up_to_date is False for one in story.fleet.machines)  # noqa: E731
        assert await story.fleet.wait_until(outdated, 120)
        await whole(stage, story)

    assert "An earlier run left machines outdated" in stage.tell(interrupted)


@pytest.mark.parametrize(
    ("options", "engine", "words"),
    [
        ({"password": "wrong"}, FakeEngine(), "401 who"),
        ({}, FakeEngine(breaks={"neighbour"}), "a rule was broken"),
    ],
)
def test_a_story_that_fails_says_where(options, engine, words):
    with pytest.raises(StoryFailed, match=words):
        Stage(engine, **options).tell(whole)


def test_a_story_that_waits_in_vain_says_where_the_machines_are():
    async def late(stage, story):
        waiting = lambda: all("waits for a role" in one.last_words for one in story.fleet.machines)  # noqa: E731
        assert await story.fleet.wait_until(waiting, 120)
        await whole(stage, story)

    stage = Stage(FakeEngine(control_plane=5), patience=0.1)
    with pytest.raises(StoryFailed, match="r0-srv1 waits for its role, waits for a role"):
        stage.tell(late)


def test_an_engine_that_ends_fails_the_story():
    stage = Stage()
    stage.alive = False
    with pytest.raises(StoryFailed, match="engine ended"):
        stage.tell(whole)


def test_a_revision_that_does_not_move_fails_the_story():
    stage = Stage(stands_still=True)
    with pytest.raises(StoryFailed, match="did not move"):
        stage.tell(whole)


def test_a_story_can_be_stopped_and_stays_until_then():
    async def stay(stage, story):
        asyncio.get_running_loop().call_later(0.2, story.stop.set)
        await story.stay()

    with pytest.raises(Stopped):
        Stage().tell(stay)
