"""The lab's own engine: started for real in a lab's network, and what it must not inherit."""

from dataclasses import replace

import pytest

from lab.drivers.base import Asset
from lab.engine import OtherEngine, OwnEngine
from lab.errors import LabFailed
from lab.http import ask, is_served
from lab.ledger import Ledger
from lab.programs import marked
from lab.sshkey import make_key
from lab.tests.fakes import views
from lab.wait import until


@pytest.fixture
def engine(paths, own_topology):
    return OwnEngine(paths, own_topology, Ledger(paths))


def test_nothing_of_the_callers_own_engine_is_in_its_environment(engine, monkeypatch, paths):
    monkeypatch.setenv("DATABASE_URL", "postgres://production/db")
    monkeypatch.setenv("ENJOLIVER_ENV_FILE", "/etc/production.env")
    monkeypatch.setenv("https_proxy", "http://proxy.example.org")
    environment = engine.environment()
    assert not {"DATABASE_URL", "ENJOLIVER_ENV_FILE", "https_proxy"} & set(environment)
    assert not [name for name in environment if name.startswith("DJANGO_")]
    assert environment["ENJOLIVER_STATE_DIR"] == str(paths.engine)


def test_settings_of_the_topology_go_over_the_labs_but_not_over_its_addresses(paths, own_topology):
    settings = {"ENJOLIVER_SYNC_INTERVAL_SECONDS": "1", "ENJOLIVER_BIND": "0.0.0.0:1"}
    engine = OwnEngine(paths, replace(own_topology, engine=settings), Ledger(paths))
    environment = engine.environment()
    assert environment["ENJOLIVER_SYNC_INTERVAL_SECONDS"] == "1"
    assert environment["ENJOLIVER_BIND"] == f"{own_topology.engine_address}:5000"


def test_another_engine_must_listen_where_machines_reach(own_topology, monkeypatch):
    asked = []

    def is_served_nowhere(url):
        asked.append(url)
        return False

    monkeypatch.setattr("lab.engine.is_served", is_served_nowhere)
    with pytest.raises(LabFailed, match="machines of this lab reach"):
        OtherEngine("http://192.0.2.7:5000", own_topology).start()
    with pytest.raises(LabFailed, match="does not say that it is healthy"):
        OtherEngine(f"http://{own_topology.engine_address}:9", own_topology).start()
    assert asked == [f"http://{own_topology.engine_address}:9/healthz"]


def test_another_engine_is_told_what_it_lacks(own_topology, tmp_path):
    with views() as (url, _):
        other = OtherEngine(url, own_topology)
        with pytest.raises(LabFailed, match=r"manage.py assets add .*kernel --path a/kernel"):
            other.add_assets([Asset(tmp_path / "kernel", "a/kernel")])
    said = other.apply({"boot_kernel": "a/kernel"}, 3)
    assert "  manage.py cluster set control_plane_size=3" in said
    assert "  manage.py values set boot_kernel=a/kernel" in said


@pytest.mark.lab
def test_the_labs_engine_lives_through_stop_kill_and_a_lost_ledger(
    network, engine, paths, own_topology, tmp_path
):
    network.up()
    make_key(paths)
    engine.start()
    wait_for(f"{engine.url}/healthz")
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"a kernel")
    engine.add_assets([Asset(kernel, "test/vmlinuz")])
    assert ask(f"{engine.url}/assets/test/vmlinuz", seconds=120).body == b"a kernel"
    engine.add_assets([Asset(kernel, "test/vmlinuz")])
    said = engine.apply({"boot_kernel": "test/vmlinuz"}, 1)
    assert "control_plane_size: 3 → 1" in said
    assert engine.apply({"boot_kernel": "test/vmlinuz"}, 1) == []
    key = paths.ssh_public_key.read_text().strip()
    config = f"{engine.url}/ignition-pxe?mac=52:54:00:00:00:07"
    assert key in ask(config, seconds=120).body.decode()
    engine.kill()
    assert not engine.is_running
    assert marked(paths.root, "engine") == []
    engine.start()
    # A run that was killed before it wrote the process down: the next start clears it away.
    Ledger(paths).put_process("engine", None)
    engine.start()
    wait_for(f"{engine.url}/assets/test/vmlinuz")
    engine.stop()
    assert marked(paths.root, "engine") == []
    assert not is_served(f"{engine.url}/healthz")


def wait_for(url):
    """An engine that is busy may answer too late once."""
    until(lambda: is_served(url), seconds=120, what=url)
