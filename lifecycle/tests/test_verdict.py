"""Comparing running and desired configs."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.verdict import (
    Claim,
    Digests,
    UnreadableReport,
    canonical_sha512,
    claim_of_bytes,
    matches,
    read_claim,
)

NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def digest(body: bytes) -> str:
    return hashlib.sha512(body).hexdigest()


def shuffled(value):
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in sorted(value, reverse=True)}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@given(JSON)
def test_key_order_and_spacing_are_free(document):
    desired = Digests(digest(json.dumps(document).encode()), canonical_sha512(document))
    body = json.dumps(shuffled(document), indent=3, ensure_ascii=False).encode()
    claim = Claim(Digests(digest(body), canonical_sha512(json.loads(body))), is_full=True)
    assert matches(claim.digests, desired)


@given(JSON, JSON)
def test_another_value_never_matches(one, other):
    a, b = canonical_sha512(one), canonical_sha512(other)
    if json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True):
        assert a == b
    if one != other:
        assert a != b


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused_with_a_reason(body):
    try:
        claim = read_claim(body)
    except UnreadableReport as error:
        claim, reason = None, str(error)
    assert len(claim.digests.sha512) == 128 if claim else reason


@pytest.mark.parametrize(
    "body",
    [b"", b"junk", b"\xff", b"NaN", b"[" * 100_000, b'"\\ud800"', b"1" * 5000, b"{'a': 1}"],
)
def test_what_is_no_json_is_refused(body):
    with pytest.raises(UnreadableReport):
        read_claim(body)


@pytest.mark.parametrize("value", [None, 1, "", "ab", "g" * 128, "a" * 127, ["a" * 128]])
def test_a_digest_form_without_a_digest_is_refused(value):
    with pytest.raises(UnreadableReport, match="128 hex"):
        read_claim(json.dumps({"sha512": value}).encode())


def test_a_digest_is_read_in_any_case():
    claim = read_claim(json.dumps({"sha512": "AB" * 64}).encode())
    assert claim == Claim(Digests("ab" * 64), is_full=False)


@pytest.mark.parametrize("number", ["9007199254740993", "1" + "0" * 400, "1e999"])
def test_numbers_without_a_canonical_form_are_another_config(number):
    claim = read_claim(f'{{"ignition": {number}}}'.encode())
    assert claim.is_full
    assert claim.digests.canonical == ""
    assert not matches(claim.digests, Digests("a" * 128, "b" * 128))


def test_nothing_matches_an_empty_or_missing_desired_config():
    assert not matches(Digests(), None)
    assert not matches(Digests(), Digests("a" * 128, ""))
    assert not matches(Digests("a" * 128, ""), Digests())


def test_known_bytes_are_recognised_without_parsing():
    known = Digests(digest(b"not even JSON"), "c" * 128)
    assert claim_of_bytes(b"not even JSON", (None, known)) == Claim(known, is_full=True)
    assert claim_of_bytes(b"other", (known, None)) is None


def test_bytes_known_by_a_bare_digest_only_are_parsed_again():
    assert claim_of_bytes(b"x", (Digests(digest(b"x"), ""),)) is None
