"""`manage.py values`."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from machines.models import Event
from scheduling.management.commands import values as command
from scheduling.models import Cluster
from scheduling.tests.factories import ClusterFactory
from scheduling.valuedocs import render_docs

pytestmark = pytest.mark.django_db


def run(*arguments):
    out = io.StringIO()
    call_command("values", *arguments, stdout=out)
    return out.getvalue()


def overrides():
    return Cluster.objects.get(name="default").values


def test_values_are_shown_with_their_source(cluster):
    run("set", "pod_prefix=25")
    lines = run("show").splitlines()
    assert "pod_prefix = 25  (set)" in lines
    assert 'timezone = "UTC"  (default)' in lines


def test_what_is_shown_as_json_can_be_applied(cluster, tmp_path):
    run("set", "pod_prefix=25", "ntp=a.x,b.x")
    file = tmp_path / "values.json"
    file.write_text(run("show", "--json"))
    assert json.loads(file.read_text())["ntp"] == ["a.x", "b.x"]
    assert run("apply", str(file), "--replace") == "nothing to change\n"
    assert overrides() == {"ntp": ["a.x", "b.x"], "pod_prefix": 25}


def test_a_repeated_key_is_a_list(cluster):
    out = run("set", "kernel_arguments=quiet", "kernel_arguments=a=1,2", "component_etcd=true")
    assert 'kernel_arguments: [] → ["quiet", "a=1,2"]' in out
    assert overrides() == {"kernel_arguments": ["quiet", "a=1,2"], "component_etcd": True}
    assert Event.objects.all()[0].actor.endswith("(command line)")


def test_a_file_is_applied(cluster, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text("pod_prefix: 25\netc_hosts:\n  - 10.0.0.1 a.x\n")
    run("apply", str(file))
    file.write_text("pod_prefix: 26\n")
    run("apply", str(file))
    assert overrides() == {"pod_prefix": 26, "etc_hosts": ["10.0.0.1 a.x"]}
    run("apply", str(file), "--replace")
    assert overrides() == {"pod_prefix": 26}


def test_standard_input_is_a_file(cluster, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("pod_prefix: 25"))
    run("apply", "-")
    assert overrides() == {"pod_prefix": 25}


def test_a_dry_run_changes_nothing(cluster):
    assert run("set", "pod_prefix=25", "--dry-run") == "pod_prefix: 24 → 25\n"
    assert overrides() == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["set", "pod_prefx=25"], "did you mean pod_prefix"),
        (["set", "pod_prefix=many"], "expected an integer"),
        (["set", "timezone=UTC", "pod_prefix=99"], "16 to 28"),
        (["set", "pod_prefix"], "KEY=VALUE"),
        (["set", "vault_port=6443"], "kubernetes_apiserver_port"),
        (["set", "--cluster", "nope", "pod_prefix=25"], "no cluster nope"),
        (["apply", "/nonexistent"], "No such file"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason_and_nothing_is_changed(
    cluster, arguments, reason
):
    with pytest.raises(CommandError, match=reason):
        run(*arguments)
    assert overrides() == {}
    assert not Event.objects.exists()


def test_a_broken_file_is_refused(cluster, tmp_path):
    file = tmp_path / "values.yaml"
    for content in (b"pod_prefix: 25\nx: [", b"- a", b"\xff", b"pod_prefix: '25'", b"yes: 1"):
        file.write_bytes(content)
        with pytest.raises(CommandError):
            run("apply", str(file))
    assert overrides() == {}


def test_another_cluster_has_its_own_values(cluster):
    ClusterFactory.create(name="lab")
    run("set", "--cluster", "lab", "pod_prefix=25")
    assert overrides() == {}
    assert "pod_prefix = 25  (set)" in run("show", "--cluster", "lab")


def test_the_documentation_is_printed_or_written(tmp_path, monkeypatch):
    assert run("docs") == render_docs()
    monkeypatch.setattr(command, "DOCS", tmp_path / "page.md")
    run("docs", "--write")
    assert (tmp_path / "page.md").read_text() == render_docs()


def run_cluster(*arguments):
    out = io.StringIO()
    call_command("cluster", *arguments, stdout=out)
    return out.getvalue()


def test_the_rules_of_a_cluster_are_set_and_shown(cluster):
    said = run_cluster("set", "control_plane_size=1", "is_scheduling_enabled=no")
    assert "control_plane_size: 3 → 1" in said
    assert "control_plane_size = 1" in run_cluster("show").splitlines()
    assert Event.objects.filter(kind="cluster_changed").count() == 1
    assert run_cluster("set", "control_plane_size=1") == "nothing to change\n"


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ("control_plane_size=2", "odd number"),
        ("control_plane_size=many", "control_plane_size: invalid literal"),
        ("is_scheduling_enabled=perhaps", "expected true or false"),
        ("size=3", "expected one of"),
        ("control_plane_size", "expected one of"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_and_changes_nothing(cluster, pair, reason):
    with pytest.raises(CommandError, match=reason):
        run_cluster("set", "settle_seconds=7", pair)
    assert Cluster.objects.get(name="default").settle_seconds == 5


def test_rules_of_an_unknown_cluster_are_refused(cluster):
    with pytest.raises(CommandError, match="there is no cluster x"):
        run_cluster("show", "--cluster", "x")
