"""The sync against the real matchbox: what it makes, what it leaves alone, what it survives."""

import json
import shutil

import pytest

from enjoliver.common.leases import hold_lease
from matchbox_sync import held
from matchbox_sync.documents import load_document
from matchbox_sync.models import (
    DesiredConfig,
    MachineConfig,
    Problem,
    ProfileVersion,
    Revision,
    SyncState,
)
from matchbox_sync.renderer import PrivateMatchbox
from matchbox_sync.services import (
    assign_revision,
    prune_revisions,
    set_release_policy,
    sync_cluster,
)
from matchbox_sync.services.revisions import release_at_once
from matchbox_sync.tests.conftest import fetch
from matchbox_sync.tests.fleet import CONTROL_PLANE, NODE, discover, mac_of, place
from scheduling.services import assign_roles, release_machine, set_values

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]


def sync(cluster):
    result = sync_cluster(cluster=cluster)
    assert result is not None
    return result


def change_value(cluster, **changes):
    set_values(cluster=cluster, changes=changes, actor="test")
    cluster.refresh_from_db()


def gate():
    moment = SyncState.objects.get().notified_at
    assert moment is not None
    return moment


def discovery_in_force():
    content = held.discovery_content()
    assert content is not None
    return content


def files(settings, folder):
    return sorted(path.name for path in (settings.MATCHBOX_PATH / folder).iterdir())


def group_of(settings, number, profile="kubernetes-node"):
    name = f"{profile}-{mac_of(number).replace(':', '-')}.json"
    return json.loads((settings.MATCHBOX_PATH / "groups" / name).read_text())


def problems():
    return list(Problem.objects.values_list("stage", "profile", "machine_id"))


def forbid_rendering(monkeypatch):
    """From here on, asking the private matchbox fails the test."""

    def render(self, profile, groups):
        raise AssertionError("the private matchbox was asked")

    monkeypatch.setattr(PrivateMatchbox, "render", render)


def test_the_first_sync_without_machines_publishes_three_proven_profiles(cluster, settings):
    result = sync(cluster)
    assert (result.revision, result.rendered, result.problems) == (1, 0, 0)
    assert files(settings, "profiles") == [
        "discovery.json",
        "etcd-member-kubernetes-control-plane.json",
        "kubernetes-node.json",
    ]
    assert files(settings, "groups") == ["discovery.json"]
    assert held.gate_timestamp() is not None
    assert discovery_in_force().script.startswith("#!ipxe\nkernel ")


def test_a_machine_gets_the_bytes_that_the_public_matchbox_renders(public_matchbox, cluster):
    for number, roles in ((1, CONTROL_PLANE), (2, NODE), (3, NODE)):
        place(number, roles)
    assert sync(cluster).problems == 0
    for desired in DesiredConfig.objects.select_related("config"):
        query = f"mac={desired.config.mac.replace(':', '-')}&os=installed"
        answer = fetch(f"{public_matchbox}/ignition?{query}")
        assert answer.content == load_document(desired.sha512)
        script = fetch(f"{public_matchbox}/ipxe?{query}").text
        assert script == held.machine_script(desired.pk)
    discovery = discovery_in_force()
    assert fetch(f"{public_matchbox}/ignition").content == discovery.body
    assert fetch(f"{public_matchbox}/ipxe").text == discovery.script


def test_a_sync_without_a_change_writes_nothing_and_asks_matchbox_nothing(
    cluster, settings, monkeypatch
):
    place(1)
    sync(cluster)
    before = gate()
    stamps = {p: p.stat().st_mtime_ns for p in settings.MATCHBOX_PATH.rglob("*")}

    forbid_rendering(monkeypatch)
    result = sync(cluster)
    assert (result.revision, result.rendered, result.written, result.deleted) == (None, 0, 0, 0)
    assert Revision.objects.count() == 1
    assert gate() > before
    assert stamps == {p: p.stat().st_mtime_ns for p in settings.MATCHBOX_PATH.rglob("*")}


def test_a_new_machine_changes_no_other_machines_config(cluster):
    first = place(1)
    sync(cluster)
    before = DesiredConfig.objects.get(pk=first.pk)
    place(2)
    result = sync(cluster)
    assert (result.revision, result.rendered) == (2, 1)
    after = DesiredConfig.objects.get(pk=first.pk)
    assert (after.config_id, after.sha512) == (before.config_id, before.sha512)
    assert Revision.objects.get(number=2).machines_changed == 1


def test_a_changed_value_makes_a_revision_and_moves_every_machine_at_once(cluster):
    machines = [place(number) for number in (1, 2)]
    sync(cluster)
    old = {m.pk: DesiredConfig.objects.get(pk=m.pk) for m in machines}
    change_value(cluster, ntp=["ntp.example.test"])
    result = sync(cluster)
    assert (result.revision, result.rendered) == (2, 2)
    for machine in machines:
        desired = DesiredConfig.objects.get(pk=machine.pk)
        assert desired.sha512 != old[machine.pk].sha512
        assert desired.previous_id == old[machine.pk].config_id
        assert desired.config_id == desired.newest_id


@pytest.fixture
def hold_back():
    """Register a policy that moves only the machines in the returned set."""
    allowed: set[int] = set()
    set_release_policy(lambda revision, machine_ids: allowed & set(machine_ids))
    yield allowed
    set_release_policy(release_at_once)


def test_a_machine_that_is_held_back_keeps_its_config_and_a_numbered_profile(
    public_matchbox, cluster, settings, hold_back
):
    held_back, moved = place(1), place(2)
    sync(cluster)
    before = DesiredConfig.objects.get(pk=held_back.pk).sha512
    hold_back.add(moved.pk)
    change_value(cluster, ntp=["ntp.example.test"], sysctl=["vm.swappiness=1"])
    sync(cluster)
    desired = DesiredConfig.objects.select_related("config").get(pk=held_back.pk)
    assert desired.sha512 == before
    assert desired.config_id != desired.newest_id
    assert group_of(settings, 2)["profile"] == "kubernetes-node"
    for machine in (held_back, moved):
        desired = DesiredConfig.objects.select_related("config").get(pk=machine.pk)
        query = f"mac={desired.config.mac}&os=installed"
        assert fetch(f"{public_matchbox}/ignition?{query}").content == load_document(desired.sha512)
    # Let go, the machine joins the others and its numbered profile vanishes.
    assign_revision(machine=held_back, revision=Revision.objects.get(number=2), actor="test")
    sync(cluster)
    assert group_of(settings, 1)["profile"] == "kubernetes-node"
    assert not [name for name in files(settings, "profiles") if ".r" in name]


def test_going_back_makes_an_earlier_content_the_desired_one_again(cluster, settings):
    machine = place(1)
    sync(cluster)
    first = DesiredConfig.objects.get(pk=machine.pk).sha512
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    assign_revision(machine=machine, revision=Revision.objects.get(number=1), actor="test")
    assert DesiredConfig.objects.get(pk=machine.pk).sha512 == first
    sync(cluster)
    assert DesiredConfig.objects.get(pk=machine.pk).sha512 == first


def site_snippet(settings, tmp_path, text):
    site = tmp_path / "site"
    folder = site / "snippets" / "time"
    folder.mkdir(parents=True, exist_ok=True)
    for existing in folder.iterdir():
        existing.unlink()
    (folder / "snippet.yaml").write_text(text)
    settings.SITE_TEMPLATES = str(site)


@pytest.mark.parametrize(
    "text",
    [
        "# broken\nstorage: {files: [",
        "# unknown\nstorage:\n  files:\n    - path: /etc/x\n      contnts: {inline: x}\n",
        "# missing value\nstorage:\n  files:\n    - path: /etc/x\n"
        "      contents: {inline: '<%= no_such_value %>'}\n",
    ],
)
def test_a_broken_template_publishes_nothing_and_heals_when_it_is_mended(
    cluster, settings, tmp_path, text
):
    machine = place(1)
    sync(cluster)
    before = DesiredConfig.objects.get(pk=machine.pk).sha512
    listing = {name: files(settings, name) for name in ("groups", "profiles", "ignition")}
    site_snippet(settings, tmp_path, text)
    before_gate = gate()
    assert sync(cluster).problems > 0
    assert DesiredConfig.objects.get(pk=machine.pk).sha512 == before
    assert {name: files(settings, name) for name in listing} == listing
    assert Problem.objects.count() > 0
    assert gate() > before_gate
    settings.SITE_TEMPLATES = ""
    assert sync(cluster).problems == 0
    assert Problem.objects.count() == 0


def test_one_bad_machine_is_held_back_alone(cluster, monkeypatch):
    from matchbox_sync.services import configs
    from matchbox_sync.verify import VerifyError, check_rendered

    bad, good = place(1), place(2)

    def check(profile, rendered):
        if mac_of(1).encode() in rendered.butane:
            raise VerifyError("something of this machine")
        check_rendered(profile, rendered)

    monkeypatch.setattr(configs, "check_rendered", check)
    sync(cluster)
    assert not DesiredConfig.objects.filter(pk=bad.pk).exists()
    assert DesiredConfig.objects.filter(pk=good.pk).exists()
    assert problems() == [("verify", "kubernetes-node", bad.pk)]
    monkeypatch.undo()
    sync(cluster)
    assert DesiredConfig.objects.filter(pk=bad.pk).exists()
    assert problems() == []


@pytest.mark.parametrize("damage", ["directory", "group", "profile", "template"])
def test_a_damaged_directory_is_repaired_by_the_next_sync(cluster, settings, damage):
    place(1)
    sync(cluster)
    whole = {
        p: p.read_bytes()
        for f in ("groups", "profiles", "ignition")
        for p in (settings.MATCHBOX_PATH / f).iterdir()
    }
    if damage == "directory":
        shutil.rmtree(settings.MATCHBOX_PATH)
    else:
        folder = {"group": "groups", "profile": "profiles", "template": "ignition"}[damage]
        next(iter((settings.MATCHBOX_PATH / folder).iterdir())).write_text("{")
    sync(cluster)
    assert {
        p: p.read_bytes()
        for f in ("groups", "profiles", "ignition")
        for p in (settings.MATCHBOX_PATH / f).iterdir()
    } == whole
    assert Revision.objects.count() == 1


def test_a_full_disk_is_a_problem_that_closes_the_gate_and_loses_nothing(cluster, monkeypatch):
    machine = place(1)
    sync(cluster)
    before_gate = gate()
    change_value(cluster, ntp=["ntp.example.test"])

    def no_space(self, path, key, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matchbox_sync.store.MatchboxStore.put", no_space)
    sync(cluster)
    assert ("publish", "", None) in problems()
    assert gate() == before_gate
    newest = DesiredConfig.objects.get(pk=machine.pk)
    assert newest.config.revision.number == 2  # served by the engine, whatever the disk says
    monkeypatch.undo()
    sync(cluster)
    assert problems() == []
    assert gate() > before_gate


class Killed(BaseException):
    """Stands for a process that ends in the middle of a line."""


def test_a_sync_killed_in_the_middle_is_finished_by_the_next_one(cluster, settings, monkeypatch):
    from matchbox_sync.services import run
    from matchbox_sync.services.configs import store_batch as real

    monkeypatch.setattr(run, "BATCH", 2)
    machines = [place(number) for number in range(1, 6)]
    calls: list[int] = []

    def store_batch(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(run, "store_batch", store_batch)
    with pytest.raises(Killed):
        sync_cluster(cluster=cluster)
    done = set(DesiredConfig.objects.values_list("pk", flat=True))
    assert len(done) == 2
    assert Revision.objects.get().completed_at is None
    monkeypatch.setattr(run, "store_batch", real)
    result = sync(cluster)
    assert (result.revision, result.rendered) == (1, 3)
    assert Revision.objects.get().completed_at is not None
    assert DesiredConfig.objects.count() == len(machines)
    assert len(files(settings, "groups")) == len(machines) + 1


def test_a_second_worker_leaves_a_running_sync_alone(cluster):
    with hold_lease("sync:default", seconds=300):
        assert sync_cluster(cluster=cluster) is None
    assert sync_cluster(cluster=cluster) is not None


def test_a_dead_workers_lease_ends(cluster):
    from datetime import timedelta

    from django.utils import timezone

    from enjoliver.common.models import Lease

    for offset in (-1, 86_400):  # expired; or from a clock that stepped back by a day
        Lease.objects.update_or_create(
            name="sync:default",
            defaults={"owner": "dead", "expires_at": timezone.now() + timedelta(seconds=offset)},
        )
        assert sync_cluster(cluster=cluster) is not None


def test_a_machine_that_loses_its_role_loses_its_group(cluster, settings):
    machine = place(1)
    sync(cluster)
    release_machine(machine=machine, actor="test", reason="spare")
    sync(cluster)
    assert files(settings, "groups") == ["discovery.json"]
    assert not DesiredConfig.objects.filter(pk=machine.pk).exists()
    assert MachineConfig.objects.filter(machine=machine).exists()  # history stays


def test_a_control_plane_gets_no_config_before_all_its_members_are_there(cluster):
    cluster.control_plane_size = 3
    cluster.save()
    machines = [place(number, CONTROL_PLANE) for number in (1, 2)]
    node = place(9)
    sync(cluster)
    assert list(DesiredConfig.objects.values_list("pk", flat=True)) == [node.pk]
    assert Problem.objects.filter(message__contains="2 of 3").exists()
    machines.append(place(3, CONTROL_PLANE))
    sync(cluster)
    assert DesiredConfig.objects.count() == 4
    assert problems() == []


def test_a_new_member_changes_metadata_everywhere_and_nobodys_config(cluster, settings):
    place(1, CONTROL_PLANE)
    node = place(2)
    sync(cluster)
    before = DesiredConfig.objects.get(pk=node.pk)
    old_metadata = group_of(settings, 2)["metadata"]
    machine = discover(3)
    assign_roles(machine=machine, roles=CONTROL_PLANE, actor="test")
    assert sync(cluster).rendered == 1
    after = DesiredConfig.objects.get(pk=node.pk)
    assert (after.config_id, after.sha512) == (before.config_id, before.sha512)
    new_metadata = group_of(settings, 2)["metadata"]
    differing = {key for key in new_metadata if new_metadata[key] != old_metadata[key]}
    assert differing
    assert "10.64.0.3" in json.dumps({key: new_metadata[key] for key in differing})
    assert b"10.64.0.3" not in load_document(after.sha512)


def test_a_new_dhcp_lease_rewrites_nothing(cluster):
    place(1)
    sync(cluster)
    discover(1, ipv4="10.64.9.9")
    result = sync(cluster)
    assert (result.revision, result.rendered, result.written) == (None, 0, 0)


def test_old_configs_are_pruned_and_what_is_in_use_stays(cluster):
    machine = place(1)
    sync(cluster)
    for number in range(4):
        change_value(cluster, ntp=[f"ntp{number}.example.test"])
        sync(cluster)
    assert prune_revisions(cluster=cluster, keep=1) == 3
    desired = DesiredConfig.objects.get(pk=machine.pk)
    assert load_document(desired.sha512)
    assert desired.previous is not None
    assert sync(cluster).rendered == 0


def test_a_profile_version_that_a_sync_has_just_made_is_not_pruned(cluster):
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    known = set(ProfileVersion.objects.values_list("pk", flat=True))
    made = ProfileVersion.objects.all()[0]
    made.pk, made.fingerprint = 10**6, "f" * 64
    made.save(force_insert=True)
    prune_revisions(cluster=cluster)
    assert set(ProfileVersion.objects.values_list("pk", flat=True)) == {*known, made.pk}


def test_nothing_is_pruned_while_a_sync_is_under_way(cluster):
    place(1)
    sync(cluster)
    for number in range(3):
        change_value(cluster, ntp=[f"ntp{number}.example.test"])
        sync(cluster)
    with hold_lease(f"sync:{cluster.name}", seconds=300):
        assert prune_revisions(cluster=cluster, keep=1) == 0
    assert prune_revisions(cluster=cluster, keep=1) == 2


def test_the_number_of_queries_of_a_sync_without_change_does_not_grow(
    cluster, django_assert_max_num_queries
):
    for number in range(1, 4):
        place(number)
    sync(cluster)
    with django_assert_max_num_queries(45) as few:
        sync(cluster)
    for number in range(4, 10):
        place(number)
    sync(cluster)
    with django_assert_max_num_queries(len(few.captured_queries)):
        sync(cluster)
