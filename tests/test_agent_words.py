"""What agent and engine each say for themselves, since neither imports the other, is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.metadata import MEMBERSHIP_KEYS, NAMES, BadMembership, read_membership
from agent.progress import Word, as_document
from agent.status import VERBS
from enjoliver.common.times import rfc3339
from lifecycle.models import AgentVerb
from lifecycle.progress import VERBS as TAKEN_VERBS
from lifecycle.progress import read_said
from machines.tests.factories import mac_of, uuid_of
from matchbox_sync import metadata
from matchbox_sync.facts import Member
from matchbox_sync.metadatatext import metadata_text
from scheduling.values import merge_values


def test_verbs_are_the_same_on_both_sides():
    assert set(VERBS) == set(TAKEN_VERBS) == set(AgentVerb.values)


def test_membership_keys_are_the_same_on_both_sides():
    assert {key.upper() for key in metadata.MEMBERSHIP_KEYS} == MEMBERSHIP_KEYS


@given(st.sampled_from(VERBS), st.text(min_size=1, max_size=40), st.text(max_size=600))
def test_every_word_of_the_agent_is_taken_and_is_news_on_both_sides_alike(verb, step, reason):
    word = Word(verb, step, reason, 1_767_614_400.0)
    said = read_said(as_document(word, "boot"))
    assert said.verb == verb
    assert rfc3339(said.since) == "2026-01-05T12:00:00.000Z"
    if reason.isprintable() and step.isprintable() and len(reason) <= 300:
        assert said.kind == f"{word.kind[0]}: {word.kind[1]}"


def answer(members, uuid, mac):
    """`/metadata` of a machine with these members."""
    values = metadata.membership_metadata(members=members, values=merge_values({}))
    return metadata_text({"uuid": uuid, "boot_mac": mac, **values}, selector={}, raw_query="")


@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_engines_membership_is_read(size):
    members = [Member(name=f"cp-{n}.test", ipv4=f"10.64.0.{n}") for n in range(1, size + 1)]
    text = answer(members, uuid_of(1), mac_of(1))
    found = read_membership(text, uuid=uuid_of(1), mac=mac_of(1))
    assert found["KUBERNETES_APISERVER_COUNT"] == str(size)
    assert found[NAMES].split(",") == [member.name for member in members]


def test_a_member_without_a_name_is_one_without_an_address_is_none():
    text = answer([Member(name="", ipv4="10.64.0.1")], uuid_of(1), mac_of(1))
    assert read_membership(text, uuid=uuid_of(1), mac=mac_of(1))[NAMES] == ""
    for members in ([], [Member(name="cp-1", ipv4="")]):
        with pytest.raises(BadMembership):
            read_membership(answer(members, uuid_of(1), mac_of(1)), uuid=uuid_of(1), mac=mac_of(1))
