"""Changes that need an approval: nothing of them is in force before somebody says so."""

import pytest

from enjoliver.common.errors import Conflict
from matchbox_sync.documents import load_document
from matchbox_sync.models import ChangeState, DesiredConfig, PendingChange, Revision
from matchbox_sync.services import approve_change, reject_change, set_approval_rule
from matchbox_sync.signals import revision_completed
from matchbox_sync.tests.fleet import install, place
from matchbox_sync.tests.test_sync import change_value, files, sync
from scheduling.values import default_of, find_value

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]


@pytest.fixture
def asks():
    """A rule that asks for every change of `kubernetes-node`; the list holds what it was given."""
    calls = []

    def rule(cluster, profiles):
        calls.append(sorted(profiles))
        return "policy workers asks for it" if "kubernetes-node" in profiles else None

    set_approval_rule(rule)
    yield calls
    set_approval_rule(None)


def waiting():
    return PendingChange.objects.get(state=ChangeState.WAITING)


def body_of(machine):
    return load_document(DesiredConfig.objects.get(pk=machine.pk).sha512)


def test_the_first_content_waits_for_nobody(cluster, asks):
    machine = place(1)
    assert sync(cluster).revision == 1
    assert body_of(machine)
    assert not PendingChange.objects.exists()


def test_a_change_waits_and_neither_configs_nor_matchbox_hear_of_it(cluster, settings, asks):
    machine = place(1)
    sync(cluster)
    before, published = body_of(machine), {n: files(settings, n) for n in ("profiles", "ignition")}
    change_value(cluster, ntp=["ntp.example.test"])
    result = sync(cluster)
    assert (result.revision, result.rendered) == (None, 0)
    assert body_of(machine) == before
    assert {n: files(settings, n) for n in published} == published
    change = waiting()
    assert (change.why, change.author) == ("policy workers asks for it", "test")
    assert "ntp" in change.summary
    assert "kubernetes-node" in change.affected
    assert asks == [change.affected]
    assert Revision.objects.count() == 1


def test_a_new_machine_gets_the_content_in_force_while_a_change_waits(cluster, asks):
    first = place(1)
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    second = place(2)
    result = sync(cluster)
    assert (result.revision, result.rendered) == (2, 1)
    assert b"ntp.example.test" not in body_of(second)
    assert DesiredConfig.objects.get(pk=second.pk).config.version_id == (
        DesiredConfig.objects.get(pk=first.pk).config.version_id
    )
    assert Revision.objects.get(number=2).fingerprint == Revision.objects.get(number=1).fingerprint
    assert waiting()


def test_an_approved_change_becomes_a_revision_with_the_name_and_the_reason(cluster, asks):
    machine = place(1)
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    change = approve_change(change=waiting(), actor="olga", reason="agreed on Monday")
    result = sync(cluster)
    assert (result.revision, result.rendered) == (2, 1)
    revision = Revision.objects.get(number=2)
    assert (revision.author, revision.reason) == ("olga", "agreed on Monday")
    assert revision.values["ntp"] == ["ntp.example.test"]
    assert DesiredConfig.objects.get(pk=machine.pk).config.revision == revision
    change.refresh_from_db()
    assert (change.revision, change.state) == (revision, ChangeState.APPROVED)
    assert change.closed_at is not None
    assert sync(cluster).revision is None


def test_a_rejected_change_stays_out_and_one_on_top_of_it_waits_even_without_a_rule(cluster, asks):
    machine = place(1)
    sync(cluster)
    before = body_of(machine)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    reject_change(change=waiting(), actor="olga", reason="wrong server")
    for _ in range(2):
        assert sync(cluster).revision is None
    assert body_of(machine) == before
    set_approval_rule(None)
    change_value(cluster, timezone="Europe/Paris")
    assert sync(cluster).revision is None
    assert "olga rejected" in waiting().why
    # Taken back, the first change is history, and the second one needs nobody.
    change_value(cluster, ntp=default_of(find_value("ntp")), timezone="UTC")
    assert sync(cluster).revision is None
    assert not PendingChange.objects.filter(closed_at=None).exists()
    change_value(cluster, timezone="Europe/Paris")
    assert sync(cluster).revision == 2


def test_a_rejected_change_can_still_be_approved(cluster, asks):
    place(1)
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    change = waiting()
    reject_change(change=change, actor="olga")
    sync(cluster)
    approve_change(change=change, actor="olga")
    assert sync(cluster).revision == 2


def test_an_approval_is_for_what_was_shown_and_for_nothing_newer(cluster, asks):
    place(1)
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    first = waiting()
    change_value(cluster, ntp=["other.example.test"])
    approve_change(change=first, actor="olga")
    assert sync(cluster).revision is None
    second = waiting()
    assert second.pk != first.pk
    with pytest.raises(Conflict):
        approve_change(change=first, actor="olga")


def test_a_change_that_is_taken_back_needs_no_decision(cluster, asks):
    place(1)
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    change = waiting()
    change_value(cluster, ntp=default_of(find_value("ntp")))
    sync(cluster)
    change.refresh_from_db()
    assert change.state == ChangeState.SUPERSEDED
    with pytest.raises(Conflict, match="superseded"):
        approve_change(change=change, actor="olga")


def test_a_rule_that_no_longer_asks_lets_the_change_go(cluster, asks):
    place(1)
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    set_approval_rule(None)
    assert sync(cluster).revision == 2
    assert not PendingChange.objects.filter(closed_at=None).exists()


def test_an_approval_survives_a_killed_sync(cluster, asks, monkeypatch):
    from matchbox_sync.services import run

    place(1)
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    approve_change(change=waiting(), actor="olga")

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "store_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            sync(cluster)
    result = sync(cluster)
    assert (result.revision, result.rendered) == (2, 1)
    assert Revision.objects.get(number=2).author == "olga"


def test_a_value_that_changes_no_config_needs_no_approval_and_makes_no_revision(cluster, asks):
    from matchbox_sync.content import machine_value_keys

    assert "ntp" in machine_value_keys()
    assert "disk_ladder" in machine_value_keys()
    place(1)
    install(place(2))
    sync(cluster)
    assert sync(cluster).revision is None
    assert asks == []


def test_a_completed_revision_is_announced_once_after_the_commit(
    cluster, django_capture_on_commit_callbacks
):
    heard = []

    def hear(sender, cluster_id, revision_id, **kwargs):
        assert Revision.objects.get(pk=revision_id).completed_at is not None
        heard.append((cluster_id, revision_id))

    revision_completed.connect(hear)
    try:
        place(1)
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                sync(cluster)
    finally:
        revision_completed.disconnect(hear)
    assert heard == [(cluster.pk, Revision.objects.get().pk)]
