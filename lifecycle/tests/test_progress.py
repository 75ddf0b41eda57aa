"""What agents say: one row a verb, a bounded part of the timeline, nothing from what is no word."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.errors import InvalidInput
from lifecycle.models import AgentProgress
from lifecycle.progress import VERBS, Said, plausible_since, read_said, reason_kind
from lifecycle.services import record_progress
from lifecycle.services.progress import EVENTS_AN_HOUR
from lifecycle.tests.factories import NOON, query_of
from machines.models import Event
from machines.tests.factories import MachineFactory

SECOND = timedelta(seconds=1)
GATE = "it waits at the install gate (403 Locked by uuid=1 place {} in the queue)"


def say(machine, at=0.0, *, verb="install", step="gate", reason="", since=None):
    said = Said(verb, step, reason, since and NOON + since * SECOND, "boot", "0.1")
    record_progress(machine=machine, said=said, now=NOON + at * SECOND)
    return AgentProgress.objects.get(machine=machine, verb=verb)


def told():
    return list(Event.objects.filter(kind="agent").order_by("pk").values_list("message", "level"))


# --- what counts as news -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (GATE.format(7), "it waits at the install gate"),
        ("the config is refused: it names no role", "the config is refused"),
        ("on /dev/sda", "on /dev/sda"),
        ("3 units failed", ""),
        ("", ""),
    ],
)
def test_a_reason_without_its_details(reason, kind):
    assert reason_kind(reason) == kind


@pytest.mark.django_db
class TestRecord:
    def test_a_word_is_kept_and_told(self):
        machine = MachineFactory.create()
        row = say(machine, 10, reason=GATE.format(3), since=4)
        assert (row.step, row.reason, row.boot_id) == ("gate", GATE.format(3), "boot")
        assert (row.since_at, row.seen_at) == (NOON + 4 * SECOND, NOON + 10 * SECOND)
        assert told() == [(f"install: gate: {GATE.format(3)}", "info")]
        assert Event.objects.get().machine == machine

    def test_another_detail_is_kept_and_not_told(self):
        machine = MachineFactory.create()
        for place in range(9, 0, -1):
            row = say(machine, 10 - place, reason=GATE.format(place))
        assert row.reason == GATE.format(1)
        assert AgentProgress.objects.count() == 1
        assert len(told()) == 1

    def test_verbs_have_a_row_each_and_machines_too(self):
        for machine in MachineFactory.create_batch(2):
            for verb in VERBS:
                say(machine, verb=verb)
                say(machine, 1, verb=verb, step="next")
        assert AgentProgress.objects.count() == 2 * len(VERBS)

    def test_what_went_wrong_is_a_warning(self):
        say(MachineFactory.create(), step="failed", reason="no disk may be written to")
        assert told()[0][1] == "warning"

    def test_an_agent_that_flaps_fills_nobodys_timeline(self):
        machine, other = MachineFactory.create_batch(2)
        now = timezone.now()
        for number in range(5 * EVENTS_AN_HOUR):
            said = Said("report", f"step {'ab'[number % 2]}")
            record_progress(machine=machine, said=said, now=now)
        assert machine.events.count() == EVENTS_AN_HOUR
        record_progress(machine=other, said=said, now=now)
        assert other.events.count() == 1

    def test_what_was_not_told_is_told_when_there_is_room(self):
        machine = MachineFactory.create()
        now = timezone.now()
        for number in range(EVENTS_AN_HOUR + 1):
            record_progress(machine=machine, said=Said("report", f"step {number}"), now=now)
        last = Said("report", f"step {EVENTS_AN_HOUR}")
        record_progress(machine=machine, said=last, now=now)
        assert machine.events.count() == EVENTS_AN_HOUR
        record_progress(machine=machine, said=last, now=now + timedelta(hours=3))
        assert machine.events.all()[0].message == f"report: step {EVENTS_AN_HOUR}"

    def test_a_wrong_clock_does_not_make_an_old_wait_a_new_one(self):
        machine = MachineFactory.create()
        say(machine, 0, since=86_400 * 365)
        row = say(machine, 600, since=86_400 * 365)
        assert (row.since_at, row.seen_at) == (NOON, NOON + 600 * SECOND)
        assert say(machine, 700, step="installing", since=10**9).since_at == NOON + 700 * SECOND

    def test_a_word_costs_a_look_and_a_write(self, django_assert_num_queries):
        machine = MachineFactory.create()
        say(machine)
        said = Said("install", "gate", "", None, "boot", "0.1")
        with django_assert_num_queries(2):
            record_progress(machine=machine, said=said, now=NOON)


# --- reading -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("document", "fields"),
    [
        (None, {""}),
        ([], {""}),
        ("report", {""}),
        ({}, {"verb", "step"}),
        ({"verb": "report", "step": ""}, {"step"}),
        ({"verb": "destroy", "step": "x"}, {"verb"}),
        (
            {"verb": 1, "step": {}, "reason": [], "boot_id": None},
            {"verb", "step", "reason", "boot_id"},
        ),
        ({"verb": "report", "step": "x", "since": 1700000000}, {"since"}),
        ({"verb": "report", "step": "x", "since": "yesterday"}, {"since"}),
        ({"verb": "report", "step": "x", "since": "2026-01-05T12:00:00"}, {"since"}),
        ({"verb": "report", "step": "x", "since": "0001-01-01T00:00:00+23:59"}, {"since"}),
    ],
)
def test_what_is_no_word_is_refused_with_its_fields(document, fields):
    with pytest.raises(InvalidInput) as caught:
        read_said(document)
    assert set(caught.value.fields) == fields


def test_texts_are_made_one_line_and_cut():
    said = read_said({"verb": "ready", "step": "a\nb\0", "reason": "x" * 5000, "more": 1})
    assert said.step == "a b "
    assert len(said.reason) == 300


@given(st.dictionaries(st.sampled_from(["verb", "step", "reason", "since"]), st.text() | st.none()))
def test_anything_else_is_a_word_or_refused(document):
    try:
        said = read_said(document)
    except InvalidInput:
        return
    assert len(said.kind) <= 400
    assert said.verb in VERBS


@given(st.datetimes(timezones=st.just(NOON.tzinfo)))
def test_since_is_never_ahead(since):
    assert plausible_since(since, NOON) <= NOON


# --- the routes ----------------------------------------------------------------------------------
@pytest.mark.django_db
class TestRoutes:
    def post(self, client, machine, document, **extra):
        body = document if isinstance(document, bytes) else json.dumps(document)
        path = f"/lifecycle/progress/{query_of(machine)}"
        return client.generic("POST", path, body, "application/json", **extra)

    def test_an_agents_word_is_noted_and_listed(self, client):
        machine = MachineFactory.create()
        since = timezone.now() - timedelta(seconds=30)
        word = {
            "verb": "install",
            "step": "gate",
            "reason": GATE.format(2),
            "since": since.isoformat(),
            "boot_id": "b",
            "version": "0.1.0",
        }
        answer = self.post(client, machine, word)
        assert (answer.status_code, answer.json()) == (200, {"message": "Noted"})
        (row,) = client.get("/lifecycle/progress").json()
        assert row["mac"] == machine.boot_mac
        assert {key: row[key] for key in ("verb", "step", "reason", "version")} == {
            key: word[key] for key in ("verb", "step", "reason", "version")
        }
        assert row["since"] < row["seen"]
        assert row["since"].endswith("Z")

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"verb": NaN}', b"[" * 5000])
    def test_what_is_no_word_is_400_and_keeps_nothing(self, client, body):
        answer = self.post(client, MachineFactory.create(), body)
        assert (answer.status_code, answer.json()["kind"]) == (400, "invalid_progress")
        assert not AgentProgress.objects.exists()

    def test_a_body_without_measure_is_refused(self, client):
        answer = self.post(client, MachineFactory.create(), {"verb": "x" * 10_000})
        assert (answer.status_code, answer.json()["kind"]) == (413, "body_too_large")

    def test_an_unknown_machine_is_404(self, client):
        path = "/lifecycle/progress/mac=aa-bb-cc-dd-ee-ff"
        word = {"verb": "report", "step": "x"}
        assert client.post(path, word, "application/json").status_code == 404

    def test_the_list_costs_one_query(self, client, django_assert_num_queries):
        for machine in MachineFactory.create_batch(5):
            say(machine)
        with django_assert_num_queries(1):
            assert len(client.get("/lifecycle/progress").json()) == 5


@pytest.mark.django_db
def test_the_console_shows_it_on_the_machines_page(admin_client):
    machine = MachineFactory.create()
    say(machine, reason="it waits for its <role>")
    page = admin_client.get(f"/admin/machines/machine/{machine.pk}/change/").content.decode()
    assert "what the agent says" in page.lower()
    assert "it waits for its &lt;role&gt;" in page
