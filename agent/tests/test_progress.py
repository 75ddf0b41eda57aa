"""What the engine is told: news at once, the rest rarely, and never at the expense of the work."""

import threading
import time

import pytest

from agent import VERSION
from agent.client import Unreachable
from agent.engine import NotNow
from agent.progress import Teller, Word
from agent.tests.engines import role_config
from agent.tests.machines import MAC, UUID
from agent.waits import Backoff

GATE = "it waits at the install gate (403 Locked by uuid=x place {} in the queue)"


def wait_until(is_so):
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Ear:
    """What the engine hears; may fail first."""

    def __init__(self, *failures):
        self.failures, self.heard, self.tries = list(failures), [], 0
        self.is_asked = threading.Event()
        self.is_open = threading.Event()
        self.is_open.set()

    def __call__(self, word):
        self.is_asked.set()
        self.is_open.wait(120)
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.heard.append(word)


@pytest.fixture
def telling():
    """Make a teller that is stopped at the end."""
    made = []

    def make(ear, repeat=3600.0):
        made.append(Teller(ear, repeat, Backoff(0.01, 0.02)))
        made[-1].start()
        return made[-1]

    yield make
    for teller in made:
        teller.stop()


def word(step, reason="", since=1.0, verb="install"):
    return Word(verb, step, reason, since)


def test_news_are_sent_and_details_are_not(telling):
    ear = Ear()
    teller = telling(ear)
    for place in (3, 2, 1):
        teller.tell(word("gate", GATE.format(place), since=10.0 - place))
        wait_until(lambda: ear.heard)
    teller.tell(word("installing"))
    wait_until(lambda: len(ear.heard) == 2)
    assert [one.step for one in ear.heard] == ["gate", "installing"]
    assert ear.heard[0].since == 7.0


def test_the_same_is_said_again_after_a_while_with_its_newest_detail(telling):
    ear = Ear()
    teller = telling(ear, repeat=0.05)
    teller.tell(word("gate", GATE.format(3), since=5.0))
    teller.tell(word("gate", GATE.format(1), since=9.0))
    wait_until(lambda: len(ear.heard) >= 3)
    assert ear.heard[-1] == word("gate", GATE.format(1), since=5.0)


def test_an_engine_that_is_away_hears_the_newest_word_later(telling):
    ear = Ear(*[Unreachable("away")] * 2, NotNow("busy", status=503))
    ear.is_open.clear()
    teller = telling(ear)
    teller.tell(word("waiting", "the engine cannot be reached (refused)"))
    teller.tell(word("config"))
    ear.is_open.set()
    wait_until(lambda: ear.heard)
    assert ear.heard == [word("config")]
    assert ear.tries == 4


def test_news_that_come_while_a_try_fails_do_not_wait_for_the_next_one(patience):
    ear = Ear(Unreachable("away"))
    ear.is_open.clear()
    teller = Teller(ear, 3600.0, Backoff(3600, 3600))
    teller.start()
    teller.tell(word("waiting"))
    assert ear.is_asked.wait(120)
    teller.tell(word("config"))
    ear.is_open.set()
    wait_until(lambda: ear.tries == 2)
    teller.stop()
    assert ear.heard == [word("config")]


def test_an_engine_that_refuses_is_not_asked_again_about_the_same(telling):
    ear = Ear(NotNow("no such machine", status=404))
    teller = telling(ear)
    teller.tell(word("waiting"))
    wait_until(lambda: ear.tries == 1)
    teller.tell(word("waiting", "(more)"))
    teller.tell(word("gate"))
    wait_until(lambda: ear.heard)
    assert (ear.tries, ear.heard) == (2, [word("gate")])


def test_telling_never_waits_for_the_engine(telling):
    ear = Ear()
    ear.is_open.clear()
    teller = telling(ear)
    for number in range(1000):
        teller.tell(word(f"step {number}"))
    assert ear.tries == 0
    ear.is_open.set()
    wait_until(lambda: ear.heard and ear.heard[-1].step == "step 999")
    assert len(ear.heard) <= 3


def test_verbs_do_not_cover_each_other(telling):
    ear = Ear()
    ear.is_open.clear()
    teller = telling(ear)
    for verb in ("report", "membership", "ready"):
        teller.tell(word("up to date", verb=verb))
    ear.is_open.set()
    wait_until(lambda: len(ear.heard) == 3)
    assert {one.verb for one in ear.heard} == {"report", "membership", "ready"}


@pytest.fixture
def patience(monkeypatch):
    """The end of a process waits for its last word as long as this computer needs to send it."""
    monkeypatch.setattr("agent.progress.LAST_SECONDS", 120)


def test_the_last_word_is_sent_at_the_end(patience):
    ear = Ear()
    teller = Teller(ear, 3600.0)
    teller.tell(word("rebooting"))
    teller.start()
    teller.stop()
    assert ear.heard == [word("rebooting")]


def test_the_end_does_not_wait_for_an_engine_that_is_away(patience):
    ear = Ear(*[Unreachable("away")] * 100)
    teller = Teller(ear, 3600.0, Backoff(3600, 3600))
    teller.tell(word("rebooting"))
    teller.start()
    teller.stop()
    assert (ear.heard, ear.tries) == ([], 1)
    assert teller._thread
    assert not teller._thread.is_alive()


# --- over the wire -------------------------------------------------------------------------------
def test_the_discovery_system_names_itself_by_its_facts(machine, start, engine, patience):
    machine.write("etc/enjoliver/discovery", "yes")
    run = start("install")
    run.journal.say("waiting", "it has no role yet")
    run.teller.start()
    run.teller.stop()
    (said,) = engine.words
    assert said.pop("since").endswith("+00:00")
    assert said == {
        "verb": "install",
        "step": "waiting",
        "reason": "it has no role yet",
        "boot_id": machine.boot_id,
        "version": VERSION,
        "query": f"uuid={UUID}&mac={MAC.replace(':', '-')}&os=installed",
    }


def test_the_installed_system_names_itself_as_its_config_does(machine, start, engine, patience):
    machine.install(role_config())
    run = start("report")
    run.journal.say("up to date")
    run.journal.say("up to date")
    run.teller.start()
    run.teller.stop()
    assert [said["query"] for said in engine.words] == [run.config.raw_query]


def test_a_machine_without_identity_tells_nothing_and_goes_on(machine, start, engine, patience):
    machine.write("etc/enjoliver/discovery", "yes")
    machine.write("sys/class/dmi/id/product_uuid", "")
    run = start("discover")
    run.journal.say("failed", "firmware tells no UUID")
    run.teller.start()
    run.teller.stop()
    assert engine.words == []
