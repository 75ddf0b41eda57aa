"""The kind prometheus, on Prometheus itself and on answers that it seldom gives."""

import base64
import json
from contextlib import suppress

import pytest

from enjoliver.common.polling import wait_until
from lifecycle.health import Result, check_config
from lifecycle.health.prometheus import judge
from lifecycle.tests.health.servers import running_prometheus, serving


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    with running_prometheus(tmp_path_factory.mktemp("prometheus")) as url:
        yield url


@pytest.mark.parametrize(
    ("query", "expect", "is_good", "message"),
    [
        ('up{job="itself"} == 0', "empty", True, "the answer is empty"),
        ('up{job="itself"}', "== 1", True, "1 samples are == 1"),
        ("count(up)", ">= 2", True, "1 samples are >= 2"),
        ("1 + 1", "== 2", True, "1 samples are == 2"),
        (
            'up{job="away"} == 0',
            "empty",
            False,
            'up{instance="127.0.0.1:1",job="away"} is 0, expected empty',
        ),
        ("up", "== 1", False, 'up{instance="127.0.0.1:1",job="away"} is 0, expected == 1'),
        ("up * 0", "!= 0", False, "(and 1 more)"),
        ("missing_metric", "< 1", False, "the query answers nothing: there is no value to compare"),
        ("up / 0 * 0", "> 0", False, "is nan, expected > 0"),
        ("up[1m]", "> 0", False, "the query gives a matrix; a number or a vector is expected"),
        ('"a text"', "> 0", False, "the query gives a string; a number or a vector is expected"),
        ("up ==", "empty", False, "the query failed: "),
    ],
)
def test_all_samples_of_a_query_must_hold(check, prometheus, query, expect, is_good, message):
    config = {"url": f"{prometheus}/", "query": query, "expect": expect}
    seen: list[Result] = []

    def is_judged_so():
        seen[:] = [check("prometheus", config)]
        return seen[0].is_good is is_good and message in seen[0].message

    # Prometheus gives itself a second to answer itself: on a busy computer it is down at times.
    with suppress(TimeoutError):
        wait_until(is_judged_so, seconds=60, interval=0.5, what="all targets are as they should")
    assert (seen[0].is_good, message in seen[0].message) == (is_good, True), seen[0]


def vector(**more):
    return {"status": "success", "data": {"resultType": "vector", "result": []}} | more


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (vector(warnings=["a store is away"]), "the query has warnings: ['a store is away']"),
        ({"status": "success"}, "the answer is none of Prometheus' HTTP API"),
        (vector(data={"resultType": "vector", "result": [{}]}), "none of Prometheus' HTTP API"),
        ([], "answers no JSON object"),
    ],
)
def test_an_answer_that_is_not_whole_is_bad(check, document, message):
    body = json.dumps(document).encode()
    with serving(lambda request: (200, {}, body)) as url:
        result = check("prometheus", {"url": url, "query": "up", "expect": "empty"})
    assert not result.is_good
    assert message in result.message


def test_a_password_comes_from_its_file(check, files):
    (files / "password").write_text("s3cret\n")
    seen = []

    def answer(request):
        seen.append(request.headers["Authorization"])
        return 200, {}, json.dumps(vector()).encode()

    with serving(answer) as url:
        config = {"url": url, "query": "up", "expect": "empty"}
        assert check("prometheus", config | {"username": "u", "password_file": "password"}).is_good
    assert seen == [f"Basic {base64.b64encode(b'u:s3cret').decode()}"]


@pytest.mark.parametrize("number", [0.0, -1.5, 1e300])
def test_comparisons_are_those_of_numbers(number):
    sample = [("x", number)]
    assert judge(sample, f"== {number:f}").is_good
    assert judge(sample, f">= {number:f}").is_good
    assert not judge(sample, f"!= {number:f}").is_good
    assert not judge(sample, f"< {number:f}").is_good


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"expect": "about 5"}, "expect"),
        ({"expect": "= 5"}, "expect"),
        ({"query": ""}, "query"),
        ({"username": "u"}, "password_file"),
        ({"password_file": "p"}, "username"),
        ({"password": "p"}, "password"),
        ({"username": "u", "password_file": "p", "bearer_token_file": "t"}, "username"),
    ],
)
def test_a_configuration_that_cannot_work_names_the_field(more, field):
    config = {"url": "http://x", "query": "up", "expect": "empty"} | more
    assert list(check_config("prometheus", config)) == [field]
