"""Plans: what would change on which machines, with nothing published or written."""

import pytest

from enjoliver.common.errors import InvalidInput
from matchbox_sync.diff import as_text
from matchbox_sync.models import (
    DesiredConfig,
    Document,
    MachineConfig,
    PendingChange,
    ProfileVersion,
    Revision,
)
from matchbox_sync.services import (
    approve_change,
    compare_revisions,
    plan_change,
    plan_pending,
    plan_revision,
    set_approval_rule,
    set_release_policy,
)
from matchbox_sync.services.revisions import release_at_once
from matchbox_sync.tests.fleet import CONTROL_PLANE, place
from matchbox_sync.tests.test_sync import change_value, forbid_rendering, site_snippet, sync

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]
NTP = {"ntp": ["ntp.example.test"]}
TABLES = (Revision, MachineConfig, DesiredConfig, ProfileVersion, Document, PendingChange)


def outcomes(plan):
    return {key: number for key, number in plan.counts.items() if number}


def published(settings):
    return {p: p.stat().st_mtime_ns for p in settings.MATCHBOX_PATH.rglob("*")}


@pytest.fixture
def fleet(cluster):
    """One member of the control plane and three nodes, all with a config."""
    machines = [place(1, CONTROL_PLANE), *(place(number) for number in (2, 3, 4))]
    sync(cluster)
    return machines


@pytest.fixture
def hold_all():
    """No machine moves by itself."""
    set_release_policy(lambda revision, machine_ids: ())
    yield
    set_release_policy(release_at_once)


def test_a_changed_value_is_shown_by_role_and_nothing_is_written(cluster, settings, fleet):
    rows, files = [list(t.objects.values()) for t in TABLES], published(settings)
    plan = plan_change(cluster=cluster, changes=NTP)
    assert [list(t.objects.values()) for t in TABLES] == rows
    assert published(settings) == files
    assert outcomes(plan) == {"changed": 4}
    assert plan.is_good
    assert plan.rendered == 4
    assert plan.values["ntp"][1] == NTP["ntp"]
    assert plan.title == "values ntp"
    members = [group.machine_ids for group in plan.groups]
    assert sorted(pk for ids in members for pk in ids) == [m.pk for m in fleet]
    text = as_text(plan.groups[0].diff)
    assert "+NTP=ntp.example.test" in text
    assert all(machine.is_document_changed for machine in plan.machines)
    cluster.refresh_from_db()
    assert "ntp" not in cluster.values


def test_the_plan_is_what_the_sync_then_makes(cluster, fleet):
    plan = plan_change(cluster=cluster, changes=NTP)
    before = {pk: DesiredConfig.objects.get(pk=pk).config_id for pk in _ids(fleet)}
    change_value(cluster, **NTP)
    sync(cluster)
    stored = compare_revisions(
        old=Revision.objects.get(number=1), new=Revision.objects.get(number=2)
    )
    assert stored.groups == plan.groups
    assert before.keys() == set(_ids(fleet))


def test_a_site_template_is_tried_from_a_directory_of_its_own(cluster, settings, tmp_path, fleet):
    text = "# time\nstorage:\n  files:\n    - path: /etc/clock\n      contents: {inline: noon}\n"
    site_snippet(settings, tmp_path, text)
    site, settings.SITE_TEMPLATES = settings.SITE_TEMPLATES, ""
    plan = plan_change(cluster=cluster, templates=site)
    assert outcomes(plan) == {"changed": 4}
    names = {change.name for group in plan.groups for change in group.diff.changes}
    assert "/etc/clock" in names
    assert plan.notes == ("machines without a role would boot another discovery system",)
    assert sync(cluster).revision is None


def test_machines_that_do_not_change_are_counted_and_not_rendered(cluster, fleet):
    plan = plan_change(cluster=cluster, changes={"component_vault": True})
    assert outcomes(plan)["unchanged"] >= 3
    assert plan.rendered == outcomes(plan).get("changed", 0)
    same = plan_change(cluster=cluster)
    assert outcomes(same) == {"unchanged": 4}
    assert same.to_json()["machines"] == []


def test_a_broken_template_is_a_problem_with_the_machines_that_it_concerns(
    cluster, settings, tmp_path, fleet
):
    site_snippet(settings, tmp_path, "# broken\nstorage: {files: [")
    plan = plan_change(cluster=cluster)
    assert outcomes(plan) == {"failed": 4}
    assert not plan.is_good
    assert {problem.stage for problem in plan.problems} == {"compose"}
    assert all("snippet" in machine.reason for machine in plan.machines)


def test_a_machine_that_cannot_be_rendered_says_why(cluster, fleet, monkeypatch):
    from matchbox_sync.services import configs
    from matchbox_sync.tests.fleet import mac_of
    from matchbox_sync.verify import VerifyError, check_rendered

    def check(profile, rendered):
        if mac_of(3).encode() in rendered.butane:
            raise VerifyError("something of this machine")
        check_rendered(profile, rendered)

    monkeypatch.setattr(configs, "check_rendered", check)
    plan = plan_change(cluster=cluster, changes=NTP)
    assert outcomes(plan) == {"changed": 3, "failed": 1}
    (bad,) = [machine for machine in plan.machines if machine.outcome == "failed"]
    assert (bad.id, bad.reason) == (fleet[2].pk, "verify: something of this machine")


def test_machines_without_a_config_get_their_first_one_or_wait(cluster, fleet):
    place(5)
    assert outcomes(plan_change(cluster=cluster)) == {"first": 1, "unchanged": 4}
    cluster.control_plane_size = 3
    cluster.save()
    place(6, CONTROL_PLANE)
    plan = plan_change(cluster=cluster)
    assert outcomes(plan) == {"first": 1, "unchanged": 4, "waiting": 1}
    (machine,) = [m for m in plan.machines if m.outcome == "waiting"]
    assert "2 of 3" in machine.reason


def test_values_that_cannot_be_are_refused(cluster, fleet):
    with pytest.raises(InvalidInput, match="did you mean ntp"):
        plan_change(cluster=cluster, changes={"ntpp": []})


def test_a_waiting_change_is_planned_from_what_it_was_made_of(cluster, fleet, monkeypatch):
    set_approval_rule(lambda cluster, profiles: "always")
    try:
        change_value(cluster, **NTP)
        sync(cluster)
        change = PendingChange.objects.get()
        change_value(cluster, ntp=["other.example.test"])
        seen = []
        plan = plan_pending(change=change, progress=lambda done, total: seen.append((done, total)))
        assert outcomes(plan) == {"changed": 4}
        assert "+NTP=ntp.example.test" in as_text(plan.groups[0].diff)
        assert seen[-1] == (4, 4)
        change_value(cluster, **NTP)
        approve_change(change=change, actor="olga")
        assert sync(cluster).rendered == 4
        # What is in force by now changes nothing, and is not rendered again.
        forbid_rendering(monkeypatch)
        assert outcomes(plan_pending(change=change)) == {"unchanged": 4}
    finally:
        set_approval_rule(None)


def test_a_revision_is_planned_from_stored_documents(cluster, fleet, hold_all, monkeypatch):
    change_value(cluster, **NTP)
    sync(cluster)
    forbid_rendering(monkeypatch)
    plan = plan_revision(cluster=cluster)
    assert outcomes(plan) == {"changed": 4}
    assert plan.rendered == 0
    first = Revision.objects.get(number=1)
    assert outcomes(plan_revision(cluster=cluster, revision=first)) == {"unchanged": 4}


def test_two_revisions_are_compared_for_all_machines_or_for_one(cluster, fleet):
    change_value(cluster, **NTP)
    sync(cluster)
    late = place(7)
    sync(cluster)
    one, three = Revision.objects.get(number=1), Revision.objects.get(number=3)
    plan = compare_revisions(old=one, new=three)
    assert outcomes(plan) == {"changed": 4, "first": 1}
    alone = compare_revisions(old=one, new=three, machine_ids=[fleet[1].pk])
    assert outcomes(alone) == {"changed": 1}
    (group,) = alone.groups
    assert group.machine_ids == (fleet[1].pk,)
    assert outcomes(compare_revisions(old=three, new=one, machine_ids=[late.pk])) == {"waiting": 1}


def test_nodes_that_differ_in_their_own_values_only_are_one_group(cluster, fleet):
    plan = plan_change(cluster=cluster, changes={"timezone": "Europe/Paris"})
    sizes = sorted(len(group.machine_ids) for group in plan.groups)
    assert sizes in ([1, 3], [4])


def test_the_queries_of_a_stored_plan_do_not_grow_with_the_fleet(
    cluster, fleet, hold_all, django_assert_max_num_queries
):
    change_value(cluster, **NTP)
    sync(cluster)
    with django_assert_max_num_queries(14) as few:
        plan_revision(cluster=cluster)
    for number in range(5, 12):
        place(number)
    sync(cluster)
    change_value(cluster, timezone="Europe/Paris")
    sync(cluster)
    with django_assert_max_num_queries(len(few.captured_queries)):
        plan_revision(cluster=cluster)


def _ids(machines):
    return [machine.pk for machine in machines]
