"""The routes of the install gate and of install reports."""

import pytest

from lifecycle.models import InstallAttempt, InstallOutcome, InstallReport, InstallWaiter
from lifecycle.services import end_stalled_installs
from lifecycle.tests.factories import AttemptFactory, query_of
from machines.models import Event, MachineConflict, StateChange
from machines.services import request_reinstall
from machines.states import State
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db
HEADER = "X-Enjoliver-Attempt"
SOMEBODY_ELSES = "6f1ed002-ab5d-42f0-868b-f6a5ea6a4f1e"


def ask(client, machine, **extra):
    return client.get(f"/install-authorization/{query_of(machine)}", **extra)


def report(client, machine, word="success", **extra):
    return client.post(f"/lifecycle/coreos-install/{word}/{query_of(machine)}", **extra)


def installed(machine):
    machine.refresh_from_db()
    return machine.installed_at is not None


class TestGate:
    def test_granted_carries_the_attempt(self, client):
        answer = ask(client, MachineFactory.create())
        assert (answer.status_code, answer.content) == (200, b"Granted")
        assert answer[HEADER] == str(InstallAttempt.objects.get().attempt_id)
        assert answer["Content-Type"].startswith("text/")

    def test_locked_tells_the_holder_the_place_and_when_to_ask_again(self, client):
        holder, waiter = MachineFactory.create_batch(2)
        ask(client, holder)
        answer = ask(client, waiter)
        assert answer.status_code == 403
        assert answer.content.decode().startswith(f"Locked by {query_of(holder)}")
        assert "place 1" in answer.content.decode()
        assert int(answer["Retry-After"]) >= 1
        assert answer["X-Enjoliver-Queue-Position"] == "1"

    def test_the_holder_is_granted_again_with_the_same_attempt(self, client):
        machine = MachineFactory.create()
        assert ask(client, machine)[HEADER] == ask(client, machine)[HEADER]

    def test_the_holder_learns_how_long_its_silence_may_last_and_says_that_it_goes_on(
        self, client, settings
    ):
        settings.INSTALL_DEADLINE_SECONDS = 90
        machine = MachineFactory.create()
        granted = ask(client, machine)
        assert granted["X-Enjoliver-Grant-Seconds"] == "90"
        begun = InstallAttempt.objects.get()
        again = ask(client, machine, headers={HEADER: granted[HEADER]})
        assert (again.status_code, again[HEADER]) == (200, granted[HEADER])
        renewed = InstallAttempt.objects.get()
        assert renewed.last_asked_at == begun.last_asked_at
        assert renewed.deadline_at > begun.deadline_at

    def test_a_grant_that_ended_is_said_and_nobody_is_queued(self, client):
        machine = MachineFactory.create()
        answer = ask(client, machine, headers={HEADER: SOMEBODY_ELSES})
        assert (answer.status_code, answer.json()["kind"]) == (409, "grant_ended")
        assert not InstallAttempt.objects.exists()
        assert not InstallWaiter.objects.exists()

    def test_head_grants_and_queues_nobody(self, client):
        holder, waiter = MachineFactory.create_batch(2)
        for machine in (holder, waiter):
            answer = client.head(f"/install-authorization/{query_of(machine)}")
            assert (answer.status_code, answer.content) == (403, b"")
            assert answer["X-Enjoliver-Queue-Position"] == "1"
        assert not InstallAttempt.objects.exists()
        assert not InstallWaiter.objects.exists()
        assert not StateChange.objects.exists()
        granted = ask(client, holder)
        answer = client.head(f"/install-authorization/{query_of(holder)}")
        assert (answer.status_code, answer[HEADER]) == (200, granted[HEADER])

    @pytest.mark.parametrize(
        "query",
        ["os=installed", "mac=", "mac=nonsense", "uuid=x&mac=52-54-00-00-00-01", "a" * 3000],
    )
    def test_a_bad_query_takes_nothing(self, client, query):
        answer = client.get(f"/install-authorization/{query}")
        assert answer.status_code == 400
        assert set(answer.json()) >= {"kind", "value"}
        assert not InstallAttempt.objects.exists()
        assert not InstallWaiter.objects.exists()
        assert isinstance_granted(client)

    def test_an_unknown_machine_takes_nothing(self, client):
        answer = client.get("/install-authorization/mac=aa-bb-cc-dd-ee-ff")
        assert (answer.status_code, answer.json()["kind"]) == (404, "unknown_machine")
        assert isinstance_granted(client)

    def test_a_query_of_two_machines_is_a_conflict_without_effect_on_either(self, client):
        one, other = MachineFactory.create_batch(2)
        query = f"uuid={one.uuid}&mac={other.boot_mac}"
        answer = client.get(f"/install-authorization/{query}")
        assert (answer.status_code, answer.json()["kind"]) == (409, "identity_conflict")
        assert not InstallAttempt.objects.exists()
        assert not StateChange.objects.exists()
        assert MachineConflict.objects.exists()
        assert Event.objects.filter(kind="identity_conflict").exists()

    def test_an_encoded_query_and_a_trailing_slash_are_the_same_query(self, client):
        machine = MachineFactory.create()
        encoded = query_of(machine).replace("&", "%26").replace("=", "%3D")
        assert client.get(f"/install-authorization/{encoded}/").status_code == 200
        assert InstallAttempt.objects.get().raw_query == query_of(machine)

    def test_other_methods_are_refused(self, client):
        answer = client.post(f"/install-authorization/{query_of(MachineFactory.create())}")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def isinstance_granted(client):
    return ask(client, MachineFactory.create()).status_code == 200


class TestReport:
    def test_success_with_the_attempt_installs_and_frees_the_gate(self, client):
        one, other = MachineFactory.create_batch(2)
        attempt = ask(client, one)[HEADER]
        answer = report(client, one, headers={HEADER: attempt}, REMOTE_ADDR="10.9.9.9")
        assert answer.status_code == 200
        assert answer.json() == {"success": True, "request_raw_query": query_of(one)}
        assert installed(one)
        assert one.state == State.INSTALL_SUCCEEDED
        assert InstallReport.objects.get().is_confirmed
        assert ask(client, other).status_code == 200

    def test_success_from_the_address_that_asked_counts_without_the_header(self, client):
        machine = MachineFactory.create()
        ask(client, machine, REMOTE_ADDR="10.1.1.1")
        report(client, machine, REMOTE_ADDR="::ffff:10.1.1.1")
        assert installed(machine)

    def test_a_failure_frees_the_gate_and_installs_nothing(self, client):
        one, other = MachineFactory.create_batch(2)
        attempt = ask(client, one)[HEADER]
        answer = report(client, one, "fail", headers={HEADER: attempt})
        assert answer.json()["success"] is False
        assert not installed(one)
        assert one.state == State.INSTALL_FAILED
        assert Event.objects.filter(kind="install_failed", machine=one).exists()
        assert ask(client, other).status_code == 200

    @pytest.mark.parametrize("word", ["success", "fail"])
    @pytest.mark.parametrize(
        "attempt", [None, "", "nonsense", "6f1ed002-ab5d-42f0-868b-f6a5ea6a4f1e"]
    )
    def test_a_report_without_the_grant_is_only_written_down(self, client, word, attempt):
        one, other = MachineFactory.create_batch(2)
        ask(client, one)
        headers = {} if attempt is None else {HEADER: attempt}
        answer = report(client, one, word, headers=headers, REMOTE_ADDR="10.6.6.6")
        assert answer.status_code == 200
        assert not installed(one)
        assert one.state == State.INSTALL_GRANTED
        assert ask(client, other).status_code == 403
        row = InstallReport.objects.get()
        assert (row.is_confirmed, row.source) == (False, "10.6.6.6")
        assert Event.objects.filter(kind="install_unconfirmed", level="warning").exists()

    def test_another_machines_attempt_does_not_count(self, client):
        one, other = MachineFactory.create_batch(2)
        attempt = ask(client, one)[HEADER]
        report(client, other, headers={HEADER: attempt}, REMOTE_ADDR="10.6.6.6")
        assert not installed(one)
        assert not installed(other)

    def test_unconfirmed_reports_do_not_flood_the_timeline(self, client):
        machine = MachineFactory.create()
        for word in ("success", "fail") * 5:
            report(client, machine, word)
        assert Event.objects.filter(kind="install_unconfirmed").count() == 1

    def test_a_repeated_report_changes_nothing(self, client):
        machine = MachineFactory.create()
        headers = {HEADER: ask(client, machine)[HEADER]}
        report(client, machine, headers=headers)
        installed(machine)
        before = (machine.installed_at, machine.state_changes.count())
        assert report(client, machine, headers=headers).status_code == 200
        assert report(client, machine).status_code == 200
        assert installed(machine)
        assert (machine.installed_at, machine.state_changes.count()) == before
        assert InstallReport.objects.get().is_confirmed

    def test_the_latest_report_wins_in_the_list(self, client):
        machine = MachineFactory.create()
        headers = {HEADER: ask(client, machine)[HEADER]}
        report(client, machine, "fail", headers=headers)
        report(client, machine, "success", headers=headers)
        [row] = client.get("/lifecycle/coreos-install").json()
        assert (row["success"], row["confirmed"]) == (True, True)
        assert installed(machine)

    def test_a_late_report_counts_for_the_machine_and_not_for_the_gate(self, client):
        late, holder, waiter = MachineFactory.create_batch(3)
        stalled = AttemptFactory.create(machine=late, source="10.1.1.1")
        end_stalled_installs()
        assert ask(client, holder).status_code == 200
        headers = {HEADER: str(stalled.attempt_id)}
        assert report(client, late, headers=headers).status_code == 200
        assert installed(late)
        assert holder.install_attempts.get().outcome == InstallOutcome.OPEN
        assert ask(client, waiter).status_code == 403

    def test_after_the_attempt_ended_its_source_address_alone_does_not_count(self, client):
        machine = MachineFactory.create()
        AttemptFactory.create(machine=machine, source="10.1.1.1", outcome=InstallOutcome.STALLED)
        report(client, machine, REMOTE_ADDR="10.1.1.1")
        assert not installed(machine)

    def test_the_report_of_an_older_attempt_does_not_count(self, client):
        machine = MachineFactory.create()
        old = AttemptFactory.create(machine=machine, outcome=InstallOutcome.STALLED)
        ask(client, machine)
        headers = {HEADER: str(old.attempt_id)}
        report(client, machine, headers=headers, REMOTE_ADDR="10.6.6.6")
        assert not installed(machine)

    def test_an_old_success_sent_again_does_not_undo_a_reinstall_request(self, client):
        machine = MachineFactory.create()
        headers = {HEADER: ask(client, machine)[HEADER]}
        report(client, machine, headers=headers)
        request_reinstall(machine=machine, actor="ada", reason="new disk")
        report(client, machine, headers=headers)
        assert not installed(machine)
        assert machine.reinstall_requested_at

    def test_a_reinstall_asked_for_during_an_install_stays_asked_for(self, client):
        machine = MachineFactory.create()
        headers = {HEADER: ask(client, machine)[HEADER]}
        request_reinstall(machine=machine, actor="ada", reason="new disk")
        report(client, machine, headers=headers)
        assert not installed(machine)
        assert machine.reinstall_requested_at
        assert InstallAttempt.objects.get().outcome == InstallOutcome.SUCCEEDED

    def test_saying_that_it_goes_on_does_not_undo_a_reinstall_request(self, client):
        machine = MachineFactory.create()
        attempt = ask(client, machine)[HEADER]
        request_reinstall(machine=machine, actor="ada", reason="new disk")
        ask(client, machine, headers={HEADER: attempt})
        report(client, machine, headers={HEADER: attempt})
        machine.refresh_from_db()
        assert machine.reinstall_requested_at

    def test_a_success_ends_a_reinstall_request(self, client):
        machine = MachineFactory.create()
        request_reinstall(machine=machine, actor="ada", reason="new disk")
        report(client, machine, headers={HEADER: ask(client, machine)[HEADER]})
        assert installed(machine)
        assert machine.reinstall_requested_at is None

    @pytest.mark.parametrize("word", ["done", "Succes", "0", "successs"])
    def test_another_word_is_refused(self, client, word):
        answer = report(client, MachineFactory.create(), word)
        assert answer.status_code == 403
        assert answer.json()["value"] == f"success or fail != {word.lower()}"
        assert not InstallReport.objects.exists()

    def test_the_word_is_read_in_any_case(self, client):
        assert report(client, MachineFactory.create(), "Success").json()["success"] is True

    @pytest.mark.parametrize(("query", "status"), [("os=x", 400), ("mac=aabbccddeeff", 404)])
    def test_nobody_to_report_for(self, client, query, status):
        answer = client.post(f"/lifecycle/coreos-install/success/{query}")
        assert answer.status_code == status
        assert not InstallReport.objects.exists()

    def test_a_report_is_a_post(self, client):
        answer = client.get(
            f"/lifecycle/coreos-install/success/{query_of(MachineFactory.create())}"
        )
        assert (answer.status_code, answer["Allow"]) == (405, "POST")


class TestList:
    def test_it_is_empty_at_first(self, client):
        assert client.get("/lifecycle/coreos-install").json() == []

    def test_rows_come_in_the_order_of_the_machines(self, client):
        one, other = MachineFactory.create_batch(2)
        report(client, other, "fail")
        report(client, one)
        rows = client.get("/lifecycle/coreos-install/").json()
        assert [(row["mac"], row["success"]) for row in rows] == [
            (one.boot_mac, True),
            (other.boot_mac, False),
        ]
        assert set(rows[0]) == {
            "mac",
            "fqdn",
            "cidrv4",
            "success",
            "confirmed",
            "created_date",
            "updated_date",
        }
        assert rows[0]["fqdn"].endswith(".dc1.example.test")
        assert rows[0]["created_date"].endswith("Z")

    def test_it_is_one_query_whatever_the_fleet(self, client, django_assert_num_queries):
        for machine in MachineFactory.create_batch(5):
            report(client, machine)
        with django_assert_num_queries(1):
            assert len(client.get("/lifecycle/coreos-install").json()) == 5
