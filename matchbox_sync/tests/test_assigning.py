"""Moving the desired config of many machines: what moves, what is told, and at what cost."""

import pytest

from machines.models import Event
from matchbox_sync.models import DesiredConfig, Revision
from matchbox_sync.services import assign_revision, assign_revisions, set_release_policy
from matchbox_sync.services.revisions import release_at_once
from matchbox_sync.signals import desired_changed
from matchbox_sync.tests.fleet import place
from matchbox_sync.tests.test_sync import change_value, sync

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]


@pytest.fixture
def held_fleet(cluster):
    """Four machines at revision 1, whose newest configs are of revision 2."""
    machines = [place(number) for number in range(1, 5)]
    sync(cluster)
    set_release_policy(lambda revision, machine_ids: ())
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    yield [machine.pk for machine in machines]
    set_release_policy(release_at_once)


def desired_of(pk):
    return DesiredConfig.objects.select_related("config__revision", "previous__revision").get(pk=pk)


def test_machines_get_their_newest_config_and_remember_the_one_before(held_fleet):
    chosen = held_fleet[:2]
    old = desired_of(chosen[0])
    assert assign_revisions(machine_ids=chosen, actor="op") == set(chosen)
    for pk in chosen:
        row = desired_of(pk)
        assert row.config_id == row.newest_id
        assert row.config.revision.number == 2
        assert row.previous.revision.number == 1
        assert (row.sha512, row.canonical_sha512) == (
            row.config.document_id,
            row.config.canonical_sha512,
        )
        assert row.assigned_at > old.assigned_at
    assert desired_of(held_fleet[2]).config.revision.number == 1


def test_the_same_assignment_again_moves_nothing_and_tells_nobody(held_fleet):
    assign_revisions(machine_ids=held_fleet, actor="op")
    events = Event.objects.count()
    before = desired_of(held_fleet[0]).previous_id
    assert assign_revisions(machine_ids=held_fleet, actor="op") == set()
    assert Event.objects.count() == events
    assert desired_of(held_fleet[0]).previous_id == before


def test_going_back_to_an_earlier_revision_is_one_call_for_all(held_fleet):
    first = {pk: desired_of(pk).sha512 for pk in held_fleet}
    assign_revisions(machine_ids=held_fleet, actor="op")
    earlier = Revision.objects.get(number=1)
    assert assign_revisions(machine_ids=held_fleet, actor="op", revision=earlier) == set(held_fleet)
    assert {pk: desired_of(pk).sha512 for pk in held_fleet} == first
    assert desired_of(held_fleet[0]).newest_id != desired_of(held_fleet[0]).config_id


def test_every_moved_machine_is_announced_after_the_commit_and_stands_in_the_timeline(
    held_fleet, django_capture_on_commit_callbacks
):
    heard = []

    def hear(sender, machine_ids, **kwargs):
        heard.extend(machine_ids)

    desired_changed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assign_revisions(machine_ids=held_fleet, actor="op")
    finally:
        desired_changed.disconnect(hear)
    assert sorted(heard) == sorted(held_fleet)
    lines = list(Event.objects.filter(kind="revision_assigned", actor="op"))
    assert len(lines) == len(held_fleet)
    assert "revision 2" in lines[0].message


def test_machines_without_such_a_config_are_left_out(held_fleet, cluster):
    late = place(9)
    assert assign_revisions(machine_ids=[late.pk, 999_999], actor="op") == set()
    sync(cluster)
    first = Revision.objects.get(number=1)
    assert assign_revisions(machine_ids=[late.pk], actor="op", revision=first) == set()
    with pytest.raises(Exception, match="no config as of"):
        assign_revision(machine=late, revision=first, actor="op")


@pytest.mark.parametrize("as_of", [None, 1])
def test_the_number_of_queries_is_that_of_the_batches(
    held_fleet, django_assert_max_num_queries, as_of
):
    revision = Revision.objects.get(number=as_of) if as_of else None
    if revision:
        assign_revisions(machine_ids=held_fleet, actor="op")
    with django_assert_max_num_queries(8) as few:
        assign_revisions(machine_ids=held_fleet[:1], actor="op", revision=revision)
    with django_assert_max_num_queries(len(few.captured_queries)):
        assign_revisions(machine_ids=held_fleet[1:], actor="op", revision=revision)
