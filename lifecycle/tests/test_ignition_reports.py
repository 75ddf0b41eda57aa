"""Config reports: verdicts, what is kept, what it costs."""

import hashlib
import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from enjoliver.common.rawquery import parse_raw_query
from lifecycle.models import IgnitionReport
from lifecycle.services import follow_desired, reports, submit_report
from lifecycle.tests.factories import NOON, desire, query_of
from lifecycle.tests.races import all_at_once
from machines.models import Event, Interface, Machine, MachineConflict
from machines.states import State
from machines.tests.factories import MachineFactory
from matchbox_sync.models import DesiredConfig
from matchbox_sync.signals import desired_changed

pytestmark = pytest.mark.django_db

DOCUMENT = {"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/etc/hostname"}]}}
BODY = json.dumps(DOCUMENT).encode()
OTHER = b'{"ignition": {"version": "3.4.0"}}'
PRETTY = json.dumps({key: DOCUMENT[key] for key in reversed(DOCUMENT)}, indent=2).encode()


def sha512(body):
    return hashlib.sha512(body).hexdigest()


def digest_form(digest):
    return json.dumps({"sha512": digest}).encode()


def post(client, machine, body, **extra):
    return client.post(
        f"/lifecycle/ignition/{query_of(machine)}",
        data=body,
        content_type="application/x-www-form-urlencoded",
        **extra,
    )


@pytest.fixture
def machine():
    machine = MachineFactory.create(state=State.RUNNING, installed_at=NOON)
    desire(machine, BODY)
    return machine


class TestVerdict:
    @pytest.mark.parametrize(
        "body",
        [
            BODY,
            PRETTY,
            digest_form(sha512(BODY)),
            digest_form(sha512(BODY).upper()),
        ],
        ids=["same bytes", "same value", "digest", "digest in capitals"],
    )
    def test_the_desired_config_in_any_form_is_up_to_date(self, client, machine, body):
        answer = post(client, machine, body)
        assert (answer.status_code, answer.json()) == (200, {"message": "Up-to-date"})
        assert IgnitionReport.objects.get().is_up_to_date

    def test_the_canonical_digest_is_accepted_as_well(self, client, machine):
        canonical = machine.desired.canonical_sha512
        assert canonical != machine.desired.sha512
        assert post(client, machine, digest_form(canonical)).status_code == 200

    @pytest.mark.parametrize("body", [OTHER, b"null", b"[]", b"{}", b"1", b'"text"', b"1e999"])
    def test_another_document_is_outdated(self, client, machine, body):
        answer = post(client, machine, body)
        assert (answer.status_code, answer.json()) == (210, {"message": "Outdated"})
        assert not IgnitionReport.objects.get().is_up_to_date

    def test_an_unknown_digest_asks_for_the_document(self, client, machine):
        answer = post(client, machine, digest_form("a" * 128))
        assert answer.status_code == 210
        assert answer.json() == {"message": "Outdated", "send": "full"}

    def test_the_digest_of_a_former_config_is_known(self, client, machine):
        desire(machine, OTHER)
        answer = post(client, machine, digest_form(sha512(BODY)))
        assert (answer.status_code, answer.json()) == (210, {"message": "Outdated"})

    def test_the_digest_of_another_machines_config_is_unknown(self, client, machine):
        desire(MachineFactory.create(), OTHER)
        assert "send" in post(client, machine, digest_form(sha512(OTHER))).json()

    def test_a_document_once_sent_in_full_is_known_by_its_digest(self, client, machine):
        assert "send" in post(client, machine, digest_form(sha512(PRETTY))).json()
        assert post(client, machine, PRETTY).status_code == 200
        assert post(client, machine, digest_form(sha512(PRETTY))).status_code == 200
        post(client, machine, OTHER)
        assert post(client, machine, digest_form(sha512(OTHER))).json() == {"message": "Outdated"}

    def test_a_machine_without_a_desired_config_is_outdated(self, client):
        answer = post(client, MachineFactory.create(), BODY)
        assert (answer.status_code, answer.json()) == (210, {"message": "Outdated"})

    @pytest.mark.parametrize("body", [b"", b"junk", b'{"sha512": "abc"}', b"\xff", b"[" * 99_999])
    def test_what_cannot_be_read_is_refused_and_keeps_nothing(self, client, machine, body):
        answer = post(client, machine, body)
        assert answer.status_code == 406
        assert set(answer.json()) >= {"message", "kind", "value"}
        assert not IgnitionReport.objects.exists()

    def test_a_body_beyond_reason_is_refused(self, client, machine):
        assert post(client, machine, b" " * (8 * 1024 * 1024 + 1)).status_code == 413


class TestWho:
    def test_an_unknown_machine(self, client):
        answer = client.post(
            "/lifecycle/ignition/mac=aa-bb-cc-dd-ee-ff", data=BODY, content_type="text/plain"
        )
        assert answer.status_code == 406
        assert answer.json()["message"] == "Unknown"
        assert answer.json()["kind"] == "unknown_machine"

    @pytest.mark.parametrize("query", ["os=installed", "mac=", "mac=zz", "uuid=1&mac=aabbccddeeff"])
    def test_a_query_without_a_valid_identity(self, client, machine, query):
        answer = client.post(f"/lifecycle/ignition/{query}", data=BODY, content_type="text/plain")
        assert (answer.status_code, answer.json()["message"]) == (406, "Unknown")
        assert not IgnitionReport.objects.exists()

    def test_a_query_of_two_machines_is_a_conflict(self, client, machine):
        other = MachineFactory.create()
        query = f"uuid={other.uuid}&mac={machine.boot_mac}"
        answer = client.post(f"/lifecycle/ignition/{query}", data=BODY, content_type="text/plain")
        assert (answer.status_code, answer.json()["kind"]) == (409, "identity_conflict")
        assert not IgnitionReport.objects.exists()
        assert MachineConflict.objects.count() == 1

    def test_any_interface_identifies_the_machine(self, client, machine):
        Interface.objects.create(machine=machine, name="eth1", mac="52:54:00:ff:ff:01")
        answer = client.post(
            "/lifecycle/ignition/mac=5254.00ff.ff01", data=BODY, content_type="text/plain"
        )
        assert answer.status_code == 200
        assert IgnitionReport.objects.get().machine == machine

    def test_of_two_machines_with_one_mac_the_uuid_decides(self, client, machine):
        swapped = MachineFactory.create()
        Interface.objects.create(machine=swapped, name="eth1", mac=machine.boot_mac)
        query = f"uuid={swapped.uuid}&mac={machine.boot_mac}"
        client.post(f"/lifecycle/ignition/{query}", data=BODY, content_type="text/plain")
        assert IgnitionReport.objects.get().machine == swapped

    def test_of_two_machines_with_one_mac_and_no_uuid_the_installed_one_is_meant(
        self, client, machine
    ):
        other = MachineFactory.create(updated_at=NOON + timedelta(days=1))
        Interface.objects.create(machine=other, name="eth1", mac=machine.boot_mac)
        client.post(
            f"/lifecycle/ignition/mac={machine.boot_mac}", data=BODY, content_type="text/plain"
        )
        assert IgnitionReport.objects.get().machine == machine


class TestRow:
    def submit(self, machine, body, at):
        query = parse_raw_query(query_of(machine))
        submit_report(query=query, body=body, now=NOON + timedelta(seconds=at))
        return IgnitionReport.objects.get(pk=machine.pk)

    def test_the_last_change_is_the_last_flip(self, machine):
        assert self.submit(machine, BODY, 0).last_change_at is None
        assert self.submit(machine, BODY, 60).last_change_at is None
        flipped = self.submit(machine, OTHER, 120)
        assert flipped.last_change_at == NOON + timedelta(seconds=120)
        again = self.submit(machine, OTHER, 180)
        assert again.last_change_at == NOON + timedelta(seconds=120)
        assert (again.created_at, again.reported_at) == (NOON, NOON + timedelta(seconds=180))

    def test_a_flip_is_told_once(self, machine):
        for at, body in enumerate([BODY, BODY, OTHER, OTHER, BODY, BODY]):
            self.submit(machine, body, at * 60)
        kinds = Event.objects.order_by("pk").values_list("kind", flat=True)
        assert list(kinds) == ["config_outdated", "config_up_to_date"]

    def test_a_machine_that_flips_all_the_time_does_not_flood_the_timeline(self, machine):
        for number in range(100):
            self.submit(machine, OTHER if number % 2 else BODY, number / 100)
        assert Event.objects.count() <= 2

    @pytest.mark.parametrize("state", [State.INSTALL_SUCCEEDED, State.BOOTING, State.DISCOVERY])
    def test_the_first_report_of_an_installed_machine_makes_it_running(self, machine, state):
        Machine.objects.filter(pk=machine.pk).update(state=state)
        self.submit(machine, OTHER, 0)
        self.submit(machine, OTHER, 60)
        machine.refresh_from_db()
        assert machine.state == State.RUNNING
        assert machine.state_changes.count() == 1

    def test_a_machine_that_is_not_installed_keeps_its_state(self):
        machine = MachineFactory.create(state=State.DISCOVERY)
        self.submit(machine, BODY, 0)
        machine.refresh_from_db()
        assert machine.state == State.DISCOVERY


class TestCost:
    @pytest.mark.parametrize(
        "body", [BODY, digest_form(sha512(BODY)), OTHER], ids=["full", "digest", "outdated"]
    )
    def test_a_steady_report_is_one_look_up_and_one_write(
        self, client, machine, body, django_assert_num_queries
    ):
        post(client, machine, body)
        MachineFactory.create_batch(20)
        with django_assert_num_queries(2) as queries:
            post(client, machine, body)
        assert [query["sql"].split()[0] for query in queries] == ["SELECT", "UPDATE"]

    def test_outdated_bytes_are_not_parsed_at_each_report(self, client, machine, monkeypatch):
        post(client, machine, OTHER)
        monkeypatch.setattr("lifecycle.verdict.parse_json", None)
        assert post(client, machine, OTHER).status_code == 210

    def test_the_look_up_uses_an_index_for_each_table(self, client, machine):
        post(client, machine, BODY)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")
        from lifecycle.services.reports import _COLUMNS

        rows = Interface.objects.filter(mac=machine.boot_mac).order_by().values_list(*_COLUMNS)
        plan = rows.explain()
        assert "Seq Scan" not in plan
        assert "SCAN" not in plan


class TestFollow:
    def test_the_verdict_follows_the_desired_config_without_a_report(self, client, machine):
        bystander = MachineFactory.create()
        desire(bystander, BODY)
        post(client, machine, BODY)
        post(client, bystander, BODY)
        desire(machine, OTHER)
        desired_changed.send(sender=None, machine_ids=[machine.pk])
        row = IgnitionReport.objects.get(pk=machine.pk)
        assert not row.is_up_to_date
        assert row.last_change_at
        assert IgnitionReport.objects.get(pk=bystander.pk).is_up_to_date

    def test_a_rollback_makes_the_machines_up_to_date_again(self, client, machine):
        post(client, machine, PRETTY)
        desire(machine, OTHER)
        assert follow_desired(machine_ids=[machine.pk]) == 1
        desire(machine, BODY)
        assert follow_desired(machine_ids=[machine.pk]) == 1
        assert follow_desired(machine_ids=[machine.pk]) == 0
        assert IgnitionReport.objects.get(pk=machine.pk).is_up_to_date

    def test_a_machine_without_a_desired_config_any_more_is_outdated(self, client, machine):
        post(client, machine, BODY)
        DesiredConfig.objects.all().delete()
        assert follow_desired(machine_ids=[machine.pk]) == 1

    def test_a_report_that_was_read_before_the_change_does_not_undo_its_verdict(
        self, client, machine, monkeypatch
    ):
        post(client, machine, BODY)
        original = reports.find_reporter

        def overtaken(query):
            reporter = original(query)
            desire(machine, OTHER)
            assert follow_desired(machine_ids=[machine.pk]) == 1
            return reporter

        monkeypatch.setattr(reports, "find_reporter", overtaken)
        post(client, machine, BODY)
        assert not IgnitionReport.objects.get(pk=machine.pk).is_up_to_date

    def test_it_takes_a_few_queries_for_a_thousand_machines(self, django_assert_num_queries):
        with django_assert_num_queries(4):
            follow_desired(machine_ids=list(range(1, 1001)))


class TestList:
    def test_it_is_empty_at_first(self, client):
        assert client.get("/lifecycle/ignition").json() == []

    def test_each_reporting_machine_has_one_row(self, client, machine, django_assert_num_queries):
        other = MachineFactory.create()
        for body in (BODY, OTHER, BODY):
            post(client, machine, body)
            post(client, other, body)
        with django_assert_num_queries(1):
            rows = client.get("/lifecycle/ignition").json()
        assert [(row["mac"], row["up-to-date"]) for row in rows] == [
            (machine.boot_mac, True),
            (other.boot_mac, False),
        ]
        assert set(rows[0]) == {
            "mac",
            "fqdn",
            "cidrv4",
            "up-to-date",
            "last_change_date",
            "created_date",
            "updated_date",
        }
        assert rows[0]["last_change_date"].endswith("Z")
        assert rows[1]["last_change_date"] is None
        assert rows[0]["cidrv4"] == machine.interfaces.get().cidrv4


@pytest.mark.django_db(transaction=True)
def test_first_reports_at_once_make_one_row():
    machine = MachineFactory.create(installed_at=NOON)
    desire(machine, BODY)
    query = parse_raw_query(query_of(machine))
    all_at_once(lambda body: submit_report(query=query, body=body), [BODY] * 8)
    assert IgnitionReport.objects.get().is_up_to_date
    machine.refresh_from_db()
    assert machine.state == State.RUNNING
    assert machine.state_changes.count() == 1
    assert IgnitionReport.objects.get().reported_at <= timezone.now()
