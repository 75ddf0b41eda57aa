"""Protocol page, "Requests": endpoints, body, headers."""

import json

import pytest

from lifecycle.models import Slot

pytestmark = pytest.mark.django_db
PATHS = ["/v1/pre-reboot", "/v1/steady-state"]
GOOD = json.dumps({"client_params": {"id": "a", "group": "default"}})


def params(**client_params):
    return json.dumps({"client_params": client_params})


@pytest.mark.parametrize("path", PATHS)
class TestEndpoints:
    @pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
    def test_only_post_is_answered(self, client, path, method):
        answer = getattr(client, method)(path, headers={"fleet-lock-protocol": "true"})
        assert (answer.status_code, answer["Allow"]) == (405, "POST")

    def test_any_content_type_is_read(self, client, path):
        for content_type in ("application/json", "application/x-www-form-urlencoded", ""):
            answer = client.generic(
                "POST", path, GOOD, content_type, headers={"fleet-lock-protocol": "true"}
            )
            assert answer.status_code == 200

    def test_success_is_200(self, fleetlock, path):
        assert fleetlock.raw(path, GOOD).status_code == 200


@pytest.mark.parametrize("path", PATHS)
class TestHeader:
    @pytest.mark.parametrize("headers", [{}, {"fleet-lock-protocol": "false"}])
    def test_the_header_must_be_there_and_true(self, fleetlock, path, headers):
        answer = fleetlock.raw(path, GOOD, headers)
        assert answer.status_code == 400
        assert answer.json()["kind"] == "missing_protocol_header"
        assert not Slot.objects.exists()

    def test_it_is_looked_at_before_the_body(self, fleetlock, path):
        assert fleetlock.raw(path, "junk", {}).json()["kind"] == "missing_protocol_header"


@pytest.mark.parametrize("path", PATHS)
class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            "",
            "junk",
            "null",
            "[]",
            "{}",
            '{"client_params": null}',
            '{"client_params": []}',
            '{"client_params": "a"}',
            "\udcff".encode("utf-8", "surrogateescape"),
            "[" * 100_000,
        ],
    )
    def test_it_must_be_an_object_with_client_params(self, fleetlock, path, body):
        answer = fleetlock.raw(path, body)
        assert (answer.status_code, answer.json()["kind"]) == (400, "malformed_body")

    @pytest.mark.parametrize("value", [None, "", 1, True, [], {}, "a\0b", "a" * 256])
    def test_the_id_is_a_non_empty_string(self, fleetlock, path, value):
        answer = fleetlock.raw(path, params(id=value, group="default"))
        assert (answer.status_code, answer.json()["kind"]) == (400, "invalid_id")

    def test_the_id_is_mandatory(self, fleetlock, path):
        assert fleetlock.raw(path, params(group="default")).json()["kind"] == "invalid_id"

    @pytest.mark.parametrize(
        "value", [None, "", 1, [], "a b", "a_b", "default\n", "é", "x" * 129, "../etc"]
    )
    def test_the_group_follows_its_expression(self, fleetlock, path, value):
        answer = fleetlock.raw(path, params(id="a", group=value))
        assert (answer.status_code, answer.json()["kind"]) == (400, "invalid_group")

    def test_the_group_is_mandatory(self, fleetlock, path):
        assert fleetlock.raw(path, params(id="a")).json()["kind"] == "invalid_group"

    @pytest.mark.parametrize("group", ["workers", "DEFAULT", "a.b-C.9"])
    def test_a_valid_group_that_does_not_exist_is_told_apart(self, fleetlock, path, group):
        answer = fleetlock.raw(path, params(id="a", group=group))
        assert (answer.status_code, answer.json()["kind"]) == (400, "unknown_group")

    def test_further_keys_are_tolerated(self, fleetlock, path):
        body = json.dumps({"client_params": {"id": "a", "group": "default", "x": 1}, "y": 2})
        assert fleetlock.raw(path, body).status_code == 200


@pytest.mark.parametrize("holder", ["a" * 255, "né 日本 🙂", "\u202e", "node/1?x=%00", " ", "'\""])
def test_an_id_is_opaque(fleetlock, holder):
    assert fleetlock.lock(holder).status_code == 200
    assert Slot.objects.get().holder == holder
    assert fleetlock.lock(holder).status_code == 200
    assert fleetlock.unlock(holder).status_code == 200
    assert not Slot.objects.exists()


def test_an_id_is_case_sensitive(fleetlock):
    fleetlock.lock("Node-A")
    assert fleetlock.lock("node-a").status_code == 409
    fleetlock.unlock("NODE-A")
    assert Slot.objects.get().holder == "Node-A"
