"""/healthz tells whether machines can boot; /livez and /readyz whether the process can serve."""

import threading

import pytest
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from enjoliver.common.leases import beat
from enjoliver.common.models import Heartbeat
from enjoliver.engine import health, probes
from enjoliver.engine.tests.fake_matchbox import GOOD, fake_matchbox, refused_url

PATHS = ["/", "/assets", "/boot.ipxe", "/boot.ipxe.0", "/metadata"]


@pytest.fixture(autouse=True)
def fresh_probes(monkeypatch):
    """Nothing known from before, and all the patience of the world: who is held up is not away."""
    monkeypatch.setattr(probes, "LIGHT_SECONDS", 120)
    monkeypatch.setattr(probes, "HEAVY_SECONDS", 120)
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 120)
    health.forget_probes()
    yield
    health.forget_probes()


@pytest.fixture
def matchbox(settings):
    with fake_matchbox() as server:
        settings.MATCHBOX_URLS = [server.url]
        yield server


@pytest.fixture
def no_matchbox(settings):
    settings.MATCHBOX_URLS = [refused_url()]


@pytest.mark.django_db
def test_all_well_is_200_with_the_old_keys(client, matchbox):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    found = answer.json()
    assert {key: found[key] for key in ("global", "flask", "db", "discovery")} == {
        "global": True,
        "flask": True,
        "db": True,
        "discovery": {"ipxe": True, "ignition": True},
    }
    assert found["matchbox"] == dict.fromkeys(PATHS, True)
    assert found["matchbox_instances"] == {matchbox.url: True}


@pytest.mark.django_db
def test_a_row_is_written_each_time(client, matchbox):
    client.get("/healthz")
    first = Heartbeat.objects.get(name="healthz").at
    client.get("/healthz")
    assert Heartbeat.objects.get(name="healthz").at > first


@pytest.mark.django_db
def test_without_matchbox_it_is_503_and_every_path_is_false(client, no_matchbox):
    answer = client.get("/healthz")
    assert answer.status_code == 503
    found = answer.json()
    assert (found["global"], found["flask"], found["db"]) == (False, True, True)
    assert found["matchbox"] == dict.fromkeys(PATHS, False)
    assert found["discovery"] == {"ipxe": False, "ignition": False}


@pytest.mark.django_db
def test_a_matchbox_without_groups_answers_its_paths_and_serves_no_discovery(client, settings):
    with fake_matchbox({"/": "matchbox\n"}) as server:
        settings.MATCHBOX_URLS = [server.url]
        answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["matchbox"] == dict.fromkeys(PATHS, True)
    assert answer.json()["discovery"] == {"ipxe": False, "ignition": False}


@pytest.mark.django_db
@pytest.mark.parametrize("body", ["not json", "[]", "{}", '{"ignition": {}}', '{"ignition": 3}'])
def test_discovery_ignition_must_parse(client, settings, body):
    with fake_matchbox({**GOOD, "/ignition": body}) as server:
        settings.MATCHBOX_URLS = [server.url]
        found = client.get("/healthz").json()
    assert found["discovery"] == {"ipxe": True, "ignition": False}
    assert found["global"] is False


@pytest.mark.django_db
def test_one_instance_that_answers_is_enough_and_the_other_is_named(client, settings, matchbox):
    gone = refused_url()
    settings.MATCHBOX_URLS = [gone, matchbox.url]
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["matchbox_instances"] == {gone: False, matchbox.url: True}


@pytest.mark.django_db
def test_matchbox_is_asked_once_for_many_requests(client, matchbox, monkeypatch):
    for kept in (health._instances, health._discovery):
        monkeypatch.setattr(kept, "_clock", lambda: 0.0)
    for _ in range(20):
        client.get("/healthz")
    assert set(matchbox.asked.values()) == {1}


@pytest.mark.django_db
def test_when_matchbox_comes_back_discovery_is_asked_at_once(client, settings, matchbox):
    good = matchbox.url
    client.get("/healthz")
    settings.MATCHBOX_URLS = [refused_url()]
    health._instances.forget()
    assert client.get("/healthz").status_code == 503
    settings.MATCHBOX_URLS = [good]
    health._instances.forget()
    assert client.get("/healthz").status_code == 200
    assert matchbox.asked["/ipxe"] == 2


@pytest.mark.django_db
def test_a_database_that_takes_no_write_is_503(client, matchbox, monkeypatch):
    def away(self, sql, *args, **kwargs):
        raise OperationalError("away")

    monkeypatch.setattr(CursorWrapper, "execute", away)
    answer = client.get("/healthz")
    monkeypatch.undo()
    assert answer.status_code == 503
    found = answer.json()
    assert (found["db"], found["global"], found["queue"], found["sync"]) == (
        False,
        False,
        None,
        None,
    )
    assert all(found["matchbox"].values())


@pytest.mark.django_db(transaction=True)
def test_a_locked_database_is_told_soon_and_not_after_the_usual_patience(client, monkeypatch):
    beat("healthz")  # PostgreSQL locks the row, SQLite the database
    locked, done = threading.Event(), threading.Event()

    def hold():
        from django.db import transaction

        try:
            with transaction.atomic():
                beat("healthz")
                locked.set()
                done.wait(120)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(120)
    with monkeypatch.context() as hurried:
        hurried.setattr(health, "PATIENCE_SECONDS", 0.05)
        assert health.database_is_writable() is False
    assert holder.is_alive()
    done.set()
    holder.join()
    assert health.database_is_writable() is True


def test_patience_is_given_back(db):
    if connection.vendor == "sqlite":
        assert health.database_is_writable()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout")
            assert cursor.fetchone()[0] == 20_000


@pytest.mark.django_db
def test_the_queue_is_alive_while_the_worker_beats(client, matchbox):
    assert client.get("/healthz").json()["queue"] == {"worker": False, "worker_age_seconds": None}
    beat("worker")
    assert client.get("/healthz").json()["queue"]["worker"] is True


def test_livez_asks_nothing(client):
    assert client.get("/livez").json() == {"live": True}


@pytest.mark.django_db
def test_readyz_needs_the_database(client, monkeypatch):
    assert client.get("/readyz").json() == {"ready": True}

    def away(self, sql, *args, **kwargs):
        raise OperationalError("away")

    monkeypatch.setattr(CursorWrapper, "execute", away)
    assert client.get("/readyz").status_code == 503
    monkeypatch.undo()
