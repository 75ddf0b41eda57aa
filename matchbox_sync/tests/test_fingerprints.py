"""Remembered fingerprints: the same as made anew, whatever changed in between."""

from dataclasses import replace

import pytest

from matchbox_sync import fingerprints
from matchbox_sync.fingerprints import Fingerprints
from matchbox_sync.metadata import render_metadata
from matchbox_sync.targets import config_fingerprint
from matchbox_sync.tests.samples import ENGINE, VALUES, machine, metadata_of


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    monkeypatch.setattr(fingerprints, "_remembered", {})


@pytest.fixture
def made(monkeypatch):
    """The machines whose metadata was made."""
    macs = []

    def counted(*, machine, **inputs):
        macs.append(machine.mac)
        return render_metadata(machine=machine, **inputs)

    monkeypatch.setattr(fingerprints, "render_metadata", counted)
    return macs


def recall(cluster="default", engine=ENGINE, **values):
    return Fingerprints.recall(cluster, values={**VALUES, **values}, engine=engine)


def test_a_second_run_makes_no_metadata_and_finds_the_same(made):
    fleet = [machine(number) for number in range(1, 4)]
    run = recall()
    first = [run.of(facts, "profile") for facts in fleet]
    made.clear()
    again = recall()
    assert [again.of(facts, "profile") for facts in fleet] == first
    assert made == []
    assert first == [config_fingerprint("profile", f.mac, metadata_of(f)) for f in fleet]


@pytest.mark.parametrize(
    "change",
    [
        {"facts": {"ipv4": "10.9.9.9"}},
        {"facts": {"fqdn": "other.example.org"}},
        {"profile": "other content"},
        {"values": {"timezone": "Europe/Paris"}},
        {"engine": replace(ENGINE, ssh_keys=())},
        {"cluster": "second"},
    ],
)
def test_any_other_input_is_looked_at_anew(made, change):
    facts = machine(1)
    recall().of(facts, "profile")
    made.clear()
    changed = replace(facts, **change.get("facts", {}))
    run = recall(
        change.get("cluster", "default"), change.get("engine", ENGINE), **change.get("values", {})
    )
    profile = change.get("profile", "profile")
    found = run.of(changed, profile)
    assert made == [changed.mac]
    assert found == config_fingerprint(profile, changed.mac, run.metadata_of(changed))


def test_machines_that_are_gone_are_forgotten(made):
    run = recall()
    for number in (1, 2):
        run.of(machine(number), "profile")
    recall().of(machine(1), "profile")
    made.clear()
    run = recall()
    run.of(machine(1), "profile")
    run.of(machine(2), "profile")
    assert made == [machine(2).mac]
