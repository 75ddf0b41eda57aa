"""Strategies of single machines: routes and what they keep."""

import json

import pytest
from django.contrib.auth.models import Permission, User

from lifecycle.models import MachineStrategy
from lifecycle.services import (
    add_refusal,
    disable_strategy,
    read_leave,
    remove_refusal,
    set_strategy,
)
from lifecycle.tests.factories import StrategyFactory, query_of
from lifecycle.tests.races import all_at_once
from machines.models import Event, MachineConflict
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db


def url(machine):
    return f"/lifecycle/rolling/{query_of(machine)}"


@pytest.fixture
def operator(client):
    user = User.objects.create_user("ada")
    user.user_permissions.add(Permission.objects.get(codename="change_machinestrategy"))
    client.force_login(user)
    return client


def send(client, machine, body="", **extra):
    return client.post(url(machine), data=body, content_type="text/plain", **extra)


class TestRead:
    @pytest.mark.parametrize("strategy", ["kexec", "reboot", "poweroff"])
    def test_a_granted_strategy_comes_with_the_lock_to_take(self, client, settings, strategy):
        settings.API_URI = "http://engine.example:5000"
        machine = StrategyFactory.create(strategy=strategy).machine
        answer = client.get(url(machine))
        assert answer.status_code == 200
        assert answer.json() == {
            "enable": True,
            "strategy": strategy,
            "request_raw_query": query_of(machine),
            "lock": {"url": settings.API_URI, "group": "default", "id": machine.uuid},
        }

    def test_two_machines_with_one_uuid_take_their_slots_under_two_ids(self, client):
        one = StrategyFactory.create().machine
        other = StrategyFactory(
            machine=MachineFactory.create(uuid=one.uuid, discriminator="52:54:00:aa:bb:cc")
        ).machine
        ids = {client.get(url(machine)).json()["lock"]["id"] for machine in (one, other)}
        assert len(ids) == 2

    def test_the_lock_can_be_taken_as_told(self, client):
        lock = client.get(url(StrategyFactory.create().machine)).json()["lock"]
        answer = client.post(
            "/v1/pre-reboot",
            data=json.dumps({"client_params": {"id": lock["id"], "group": lock["group"]}}),
            content_type="application/json",
            headers={"fleet-lock-protocol": "true"},
        )
        assert answer.status_code == 200

    def test_a_disabled_one_is_refused_with_the_reason(self, client):
        machine = StrategyFactory.create(is_enabled=False).machine
        answer = client.get(url(machine))
        assert answer.status_code == 403
        assert answer.json()["enable"] is False
        assert answer.json()["strategy"] is None
        assert answer.json()["request_raw_query"] == query_of(machine)
        assert "disabled" in answer.json()["reason"]

    def test_not_now_is_refused_with_the_policys_reason(self, client):
        machine = StrategyFactory.create().machine

        def window(asking):
            return "the window opens at 22:00" if asking == machine else None

        add_refusal(window)
        add_refusal(window)
        try:
            answer = client.get(url(machine))
            assert (answer.status_code, answer.json()["enable"]) == (403, False)
            assert answer.json()["reason"] == "the window opens at 22:00"
            assert client.get(url(StrategyFactory.create().machine)).status_code == 200
        finally:
            remove_refusal(window)
        assert client.get(url(machine)).status_code == 200

    def test_never_set_and_unknown_are_401(self, client):
        for query in (query_of(MachineFactory.create()), "mac=aa-bb-cc-dd-ee-ff"):
            answer = client.get(f"/lifecycle/rolling/{query}")
            assert answer.status_code == 401
            assert answer.json()["enable"] is False
            assert answer.json()["strategy"] is None
            assert answer.json()["request_raw_query"] == query

    def test_a_query_without_a_mac_is_refused_in_the_old_words(self, client):
        answer = client.get("/lifecycle/rolling/os=installed")
        assert answer.status_code == 403
        assert answer.json()["enable"] is None
        assert answer.json()["request_raw_query"] == "os=installed:os=installed is not parsable"

    def test_a_query_of_two_machines_is_a_conflict(self, client):
        one, other = StrategyFactory.create().machine, StrategyFactory.create().machine
        answer = client.get(f"/lifecycle/rolling/uuid={one.uuid}&mac={other.boot_mac}")
        assert answer.status_code == 409
        assert MachineConflict.objects.exists()


class TestSet:
    def test_no_body_is_kexec(self, operator):
        machine = MachineFactory.create()
        answer = send(operator, machine)
        assert answer.status_code == 200
        assert answer.json() == {
            "enable": True,
            "strategy": "kexec",
            "request_raw_query": query_of(machine),
        }

    @pytest.mark.parametrize("strategy", ["kexec", "reboot", "poweroff"])
    def test_a_strategy_is_kept_with_its_author(self, operator, strategy):
        machine = MachineFactory.create()
        assert send(operator, machine, json.dumps({"strategy": strategy})).status_code == 200
        row = MachineStrategy.objects.get()
        assert (row.strategy, row.is_enabled, row.set_by) == (strategy, True, "ada")
        assert Event.objects.get(kind="strategy").actor == "ada"

    def test_setting_it_again_replaces_it_and_tells_only_changes(self, operator):
        machine = MachineFactory.create()
        for strategy in ("reboot", "reboot", "poweroff"):
            send(operator, machine, json.dumps({"strategy": strategy}))
        assert MachineStrategy.objects.get().strategy == "poweroff"
        assert Event.objects.filter(kind="strategy").count() == 2

    @pytest.mark.parametrize(
        "body",
        [
            "junk",
            " ",
            "[]",
            "null",
            '"reboot"',
            '{"strategy": "REBOOT"}',
            '{"strategy": "halt"}',
            '{"strategy": null}',
            '{"strategy": ["kexec"]}',
            '{"strategy": {}}',
            '{"strategy": true}',
        ],
    )
    def test_anything_else_is_refused_and_changes_nothing(self, operator, body):
        machine = StrategyFactory.create(strategy="reboot").machine
        assert send(operator, machine, body).status_code == 406
        row = MachineStrategy.objects.get()
        assert (row.strategy, row.updated_at) == ("reboot", None)

    def test_an_object_without_a_strategy_is_kexec(self, operator):
        assert send(operator, MachineFactory.create(), "{}").json()["strategy"] == "kexec"

    def test_an_unknown_machine_is_404_with_the_old_keys(self, operator):
        answer = operator.generic("POST", "/lifecycle/rolling/mac=aa-bb-cc-dd-ee-ff")
        assert answer.status_code == 404
        assert answer.json()["enable"] is None
        assert answer.json()["strategy"] == "kexec"
        assert operator.delete("/lifecycle/rolling/mac=aa-bb-cc-dd-ee-ff").status_code == 404

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_a_bad_query_is_refused(self, operator, method):
        assert operator.generic(method, "/lifecycle/rolling/os=installed").status_code == 400
        assert not MachineStrategy.objects.exists()


class TestDisable:
    def test_it_keeps_the_name_and_is_repeatable(self, operator):
        machine = StrategyFactory.create(strategy="poweroff").machine
        for _ in range(2):
            answer = operator.delete(url(machine))
            assert answer.status_code == 200
            assert answer.json() == {"enable": False, "request_raw_query": query_of(machine)}
        [row] = operator.get("/lifecycle/rolling").json()
        assert (row["enable"], row["strategy"]) == (False, "poweroff")

    def test_it_makes_a_disabled_row_when_there_is_none(self, operator):
        machine = MachineFactory.create()
        operator.delete(url(machine))
        assert operator.get(url(machine)).status_code == 403
        send(operator, machine)
        assert operator.get(url(machine)).status_code == 200


class TestOperatorsOnly:
    @pytest.mark.parametrize("method", ["post", "delete"])
    def test_without_credentials_nothing_changes(self, client, method):
        machine = MachineFactory.create()
        answer = getattr(client, method)(url(machine))
        assert answer.status_code == 401
        assert "WWW-Authenticate" in answer
        assert not MachineStrategy.objects.exists()

    def test_the_permission_is_needed_before_the_body_is_looked_at(self, client):
        client.force_login(User.objects.create_user("eve"))
        assert send(client, MachineFactory.create(), "junk").status_code == 403
        assert not MachineStrategy.objects.exists()

    def test_http_basic_is_enough(self, client):
        User.objects.create_superuser("root", password="secret")
        headers = {"Authorization": "Basic cm9vdDpzZWNyZXQ="}
        answer = send(client, MachineFactory.create(), headers=headers)
        assert answer.status_code == 200


class TestList:
    def test_it_is_one_query_and_has_the_strategy(self, client, django_assert_num_queries):
        StrategyFactory.create_batch(3)
        with django_assert_num_queries(1):
            rows = client.get("/lifecycle/rolling").json()
        assert len(rows) == 3
        assert rows[0] | {"mac": "", "fqdn": "", "cidrv4": ""} == {
            "mac": "",
            "fqdn": "",
            "cidrv4": "",
            "enable": True,
            "strategy": "kexec",
            "created_date": "2026-01-05T12:00:00.000Z",
            "updated_date": None,
        }

    def test_it_is_empty_at_first(self, client):
        assert client.get("/lifecycle/rolling").json() == []


def test_a_refusal_is_not_asked_for_a_disabled_strategy():
    machine = StrategyFactory.create(is_enabled=False).machine
    asked: list[object] = []
    add_refusal(asked.append)
    try:
        leave = read_leave(machine=machine)
    finally:
        remove_refusal(asked.append)
    assert leave
    assert (leave.strategy, asked) == (None, [])


@pytest.mark.django_db(transaction=True)
def test_many_operators_at_once_leave_one_row():
    machine = MachineFactory.create()
    calls = [set_strategy, disable_strategy] * 4

    def run(call):
        extra = {"strategy": "reboot"} if call is set_strategy else {}
        return call(machine=machine, actor="ada", **extra)

    all_at_once(run, calls)
    assert MachineStrategy.objects.get().strategy in ("reboot", "kexec")
