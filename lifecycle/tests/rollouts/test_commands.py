"""The commands of policies, rollouts, freezes and why."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from lifecycle.models import Freeze, IgnitionReport, RollingPolicy
from lifecycle.services import add_freeze
from lifecycle.tests.rollouts.world import World
from matchbox_sync.models import PendingChange

pytestmark = pytest.mark.django_db
FILE = """
policies:
  - name: workers
    selector:
      roles: [kubernetes-node]
    max_unavailable: 2
    windows:
      - days: [mon, tue, wed, thu, fri, sat, sun]
        start: 22:30
        minutes: 90
        time_zone: Europe/Paris
  - name: plane
    selector:
      roles: [etcd-member]
    accepts_downtime: true
"""


def run(*args):
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


@pytest.fixture
def world():
    """Now, for pages and commands look at the clock themselves."""
    made = World(workers=3, plane=1)
    made.now = timezone.now()
    made.report_all()
    return made


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "policies.yaml"
    path.write_text(FILE)
    return path


class TestPolicy:
    def test_a_file_is_applied_once(self, world, file):
        text = run("policy", "apply", str(file))
        assert "workers: new" in text
        assert "plane: The control plane is down while its one machine restarts" in text
        assert RollingPolicy.objects.get(name="workers").windows[0]["start"] == "22:30"
        assert "workers: nothing to change" in run("policy", "apply", str(file))

    def test_a_dry_run_changes_nothing(self, world, file):
        assert "workers: new" in run("policy", "apply", str(file), "--dry-run")
        assert not RollingPolicy.objects.exists()

    def test_a_file_with_a_mistake_changes_nothing(self, world, file):
        file.write_text(FILE.replace("true", "false"))
        with pytest.raises(CommandError, match="accepts_downtime"):
            run("policy", "apply", str(file))
        assert not RollingPolicy.objects.exists()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("policies: workers", "a list of policies"),
            ("policies: []\nname: a", "nothing else"),
            ("name: 5", "a text is expected"),
            ("name: a\nspeed: 3", "speed: unknown"),
            ("name: a\npriority: high", "whole number"),
            ("- a", "mapping"),
        ],
    )
    def test_what_is_wrong_is_said(self, world, file, text, reason):
        file.write_text(text)
        with pytest.raises(CommandError, match=reason):
            run("policy", "apply", str(file))

    def test_what_is_shown_can_be_applied(self, world, file):
        run("policy", "apply", str(file))
        file.write_text(run("policy", "show", "workers"))
        assert "nothing to change" in run("policy", "apply", str(file))
        listed = json.loads(run("policy", "list", "--json"))
        assert [(one["name"], one["machines"]) for one in listed] == [("plane", 1), ("workers", 3)]
        assert "workers: 3 machines" in run("policy", "list")

    def test_one_is_deleted(self, world, file):
        run("policy", "apply", str(file))
        assert run("policy", "delete", "plane") == "plane is deleted\n"
        with pytest.raises(CommandError, match="no policy"):
            run("policy", "show", "plane")


class TestRollout:
    @pytest.fixture
    def rolling(self, world):
        world.policy()
        world.new_revision()
        world.advance()
        return world

    def test_status_tells_where_it_stands_and_why(self, rolling):
        text = run("rollout", "status")
        assert "of workers to revision 2: running, stage 1 of 1; 2 waiting, 1 open" in text
        assert "1 machine is changing" in text
        [found] = json.loads(run("rollout", "status", "--json"))
        assert found["machines"]["waiting"] == 2
        assert len(json.loads(run("rollout", "status", "workers", "--json"))["places"]) == 3

    def test_it_is_paused_resumed_and_aborted(self, rolling):
        assert "paused" in run("rollout", "pause", "workers", "--reason", "look")
        assert "by " in rolling.rollout().reason
        assert json.loads(run("rollout", "resume", "workers", "--json"))["state"] == "running"
        assert "aborted" in run("rollout", "abort", str(rolling.rollout().pk), "--reason", "no")
        assert run("rollout", "status") == "no rollout is active\n"
        with pytest.raises(CommandError, match="is aborted"):
            run("rollout", "abort", str(rolling.rollout().pk), "--reason", "no")

    def test_a_machine_is_skipped(self, rolling):
        machine = rolling.workers[0]
        run("rollout", "skip", "workers", machine.boot_mac, "--reason", "old")
        assert rolling.place(machine).state == "skipped"

    def test_it_is_started(self, rolling):
        run("rollout", "abort", "workers", "--reason", "no")
        assert "running" in run("rollout", "start", "workers")
        with pytest.raises(CommandError, match="running already"):
            run("rollout", "start", "workers")

    def test_an_unknown_one_is_said(self, rolling):
        with pytest.raises(CommandError, match="no rollout"):
            run("rollout", "status", "99999")


class TestFreeze:
    def test_it_stops_everything_until_it_is_lifted(self, world):
        world.policy()
        world.new_revision()
        world.advance()
        opened = next(m for m in world.workers if world.place(m).state == "open")
        assert "of everything" in run("freeze", "on", "--reason", "audit")
        assert "a freeze of everything" in world.leave(opened).refusal
        assert "audit" in run("freeze", "list")
        assert "lifted" in run("freeze", "off")
        assert run("freeze", "list") == "no freeze is in force\n"
        assert world.leave(opened).strategy == "kexec"
        assert len(json.loads(run("freeze", "list", "--all", "--json"))) == 1

    def test_it_may_be_of_one_policy_and_end_by_itself(self, world):
        world.policy()
        run("freeze", "on", "--reason", "x", "--policy", "workers", "--hours", "2")
        freeze = Freeze.objects.get()
        assert (str(freeze.policy), freeze.ends_at is None) == ("workers", False)
        said = run("freeze", "off")
        assert (
            f"no freeze of everything is in force; lift others by their number: {freeze.pk}" in said
        )
        assert "nothing" not in run("freeze", "off", str(freeze.pk))
        assert run("freeze", "off") == "no freeze is in force\n"

    @pytest.mark.parametrize(
        "args", [("--hours", "0"), ("--cluster", "nowhere"), ("--policy", "nobody")]
    )
    def test_what_is_wrong_is_said(self, world, args):
        with pytest.raises(CommandError):
            run("freeze", "on", "--reason", "x", *args)


class TestWhy:
    def test_of_a_machine_and_of_all_rollouts(self, world):
        world.policy()
        world.new_revision()
        world.advance()
        assert "machine is changing" in run("why")
        [answer] = json.loads(run("why", world.workers[0].boot_mac, "--json"))
        assert answer["answer"]
        with pytest.raises(CommandError):
            run("why", "nobody")

    def test_outdated_machines_that_nothing_lets_change_are_counted(self, world):
        assert "outdated" not in run("why")
        IgnitionReport.objects.filter(machine=world.workers[0]).update(is_up_to_date=False)
        said = run("why")
        assert "1 outdated machine has neither a rolling policy nor a strategy" in said
        world.policy()
        assert "outdated" not in run("why")

    def test_without_a_rollout_it_says_what_stands_before_one(self, world):
        said = run("why")
        assert "no rollout is active" in said
        assert "no policy is enabled" in said
        world.policy()
        add_freeze(reason="audit", actor="ada")
        change = PendingChange.objects.create(
            cluster=world.cluster,
            fingerprint="x",
            summary="values ntp",
            why="policy workers asks for approval",
            created_at=timezone.now(),
        )
        said = run("why")
        assert "a freeze of everything by ada: audit" in said
        assert f"waits for approval, policy workers asks for approval: {change}" in said
        assert "no policy" not in said
