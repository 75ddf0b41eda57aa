"""`manage.py plan` and `manage.py revision`: what an operator reads and decides in a shell."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from matchbox_sync import running
from matchbox_sync.advice import Advice, set_advisor
from matchbox_sync.models import DesiredConfig, PendingChange, Revision
from matchbox_sync.running import set_running_source
from matchbox_sync.services import set_approval_rule
from matchbox_sync.tests.fleet import mac_of, place
from matchbox_sync.tests.test_sync import change_value, site_snippet, sync

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]


def run(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def run_json(*arguments):
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def changed(cluster):
    """Two nodes, and a second revision with another time server."""
    machines = [place(number) for number in (1, 2)]
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    return machines


@pytest.fixture
def asks():
    set_approval_rule(lambda cluster, profiles: "workers need it")
    yield
    set_approval_rule(None)


def test_a_plan_of_values_shows_each_change_once_with_its_machines(cluster, changed):
    text = run("plan", "--set", "timezone=Europe/Paris", "ntp=a.example.test", "ntp=b.example.test")
    assert text.startswith("Plan: values ntp, timezone\n  2 changed, ")
    assert "Change 1, 2 machines: " in text
    assert "r1-srv1.dc1.example.test, r2-srv2.dc1.example.test" in text
    assert "-NTP=ntp.example.test" in text
    assert "+NTP=a.example.test b.example.test" in text
    assert "@@" not in run("plan", "--set", "timezone=Europe/Paris", "--no-diff")


def test_a_plan_of_a_file_and_of_a_directory(cluster, changed, settings, tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text("timezone: Europe/Paris\n")
    assert run_json("plan", "--values", str(values))["counts"]["changed"] == 2
    assert list(run_json("plan", "--values", str(values), "--replace")["values"]) == [
        "ntp",
        "timezone",
    ]
    site_snippet(settings, tmp_path, "# broken\nstorage: {files: [")
    site, settings.SITE_TEMPLATES = settings.SITE_TEMPLATES, ""
    with pytest.raises(CommandError, match="cannot be made"):
        run("plan", "--templates", site)


def test_a_plan_that_cannot_be_says_why(cluster, changed):
    with pytest.raises(CommandError, match="did you mean ntp"):
        run("plan", "--set", "ntpp=x")
    with pytest.raises(CommandError, match="no revision 9"):
        run("plan", "--revision", "9")
    with pytest.raises(CommandError, match="no change waits"):
        run("plan", "--pending")
    with pytest.raises(CommandError, match="no cluster x"):
        run("plan", "--cluster", "x")


def test_revisions_are_listed_shown_and_compared(cluster, changed):
    assert [row["number"] for row in run_json("revision", "list")] == [2, 1]
    assert "values ntp" in run("revision", "list", "--limit", "1")
    assert 'ntp = ["ntp.example.test"]' in run("revision", "show", "2")
    assert run_json("revision", "show", "2")["values"]["ntp"] == ["ntp.example.test"]
    assert "Change 1, 2 machines" in run("revision", "diff", "1", "2")
    alone = run_json("revision", "diff", "1", "2", "--machine", mac_of(1).upper())
    assert [machine["mac"] for machine in alone["machines"]] == [mac_of(1)]


@pytest.fixture
def reports():
    """Who runs what: machine id to digest, as an upper app would know it."""
    digests: dict[int, str] = {}
    before = running._source
    set_running_source(lambda machine_ids: {pk: digests.get(pk, "") for pk in machine_ids})
    yield digests
    set_running_source(before)


def test_each_machine_is_listed_with_what_it_runs_and_shall_run(cluster, changed, reports):
    old = changed[0].configs.get(revision__number=1)
    reports[changed[0].pk] = old.canonical_sha512
    reports[changed[1].pk] = "0" * 128  # nothing that we ever made
    rows = run_json("revision", "machines")
    assert [(row["running"], row["desired"], row["previous"]) for row in rows] == [
        (1, 2, 1),
        (None, 2, 1),
    ]
    assert "running unknown, desired 2, newest 2, previous 1" in run("revision", "machines")


def test_a_plan_tells_what_an_upper_app_says_of_its_machines(cluster, changed):
    said = {changed[0].pk: Advice("reboot under policy x", "outside of its window")}
    set_advisor(lambda machine_ids: {pk: said[pk] for pk in machine_ids if pk in said})
    try:
        text = run("plan", "--set", "timezone=Europe/Paris", "--no-diff")
        assert "  1 machine: reboot under policy x\n  1 machine: outside of its window" in text
        machines = run_json("plan", "--set", "timezone=Europe/Paris")["machines"]
        assert sorted(m["blocked"] for m in machines) == ["", "outside of its window"]
    finally:
        set_advisor(None)


def test_a_change_is_approved_or_rejected_from_the_shell(cluster, changed, asks):
    change_value(cluster, timezone="Europe/Paris")
    sync(cluster)
    assert "waiting" in run("revision", "pending")
    assert run_json("plan", "--pending")["counts"]["changed"] == 2
    run("revision", "reject", "--reason", "not today")
    change = PendingChange.objects.get()
    assert (change.state, change.reason) == ("rejected", "not today")
    run("revision", "approve", str(change.pk))
    with pytest.raises(CommandError, match="approved"):
        run("revision", "approve", str(change.pk))
    assert sync(cluster).revision == 3
    assert "(command line)" in Revision.objects.get(number=3).author


def test_a_rollback_from_the_shell_needs_a_reason(cluster, changed):
    with pytest.raises(CommandError, match="--reason"):
        run("revision", "rollback", "1")
    made = run_json("revision", "rollback", "1", "--reason", "clocks")
    assert (made["number"], made["reason"], made["completed_at"]) == (3, "clocks", None)
    sync(cluster)
    assert DesiredConfig.objects.filter(config__revision__number=3).count() == 2
    with pytest.raises(CommandError, match="in force"):
        run("revision", "rollback", "1", "--reason", "again")
