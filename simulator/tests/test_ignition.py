"""Reading Ignition documents."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.ignition import BadConfig, decode_data_url, digest, parse_config, read_environment
from simulator.tests.fake_engine import ignition_document


def test_plain_and_compressed_files_are_decoded():
    config = parse_config(ignition_document({"/a": "one %\n", "/b": "two"}))
    assert config.files == {"/a": b"one %\n", "/b": b"two"}
    assert config.version == "3.4.0"
    assert not config.is_discovery


def test_the_marker_says_that_it_is_the_discovery_config():
    assert parse_config(ignition_document({"/etc/enjoliver/discovery": ""})).is_discovery


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"404 page not found\n",
        b"[]",
        b"{}",
        b'{"ignition": {"version": "2.2.0"}}',
        b'{"ignition": {"version": "3.4.0"}, "storage": {"files": [{}]}}',
        b'{"ignition": {"version": "3.4.0"}, "storage": []}',
        b'{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/a",'
        b' "contents": {"source": "data:;base64,%%%"}}]}}',
        b'{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/a",'
        b' "contents": {"compression": "gzip", "source": "data:,text"}}]}}',
    ],
)
def test_what_is_no_config_is_refused(document):
    with pytest.raises(BadConfig):
        parse_config(document)


def test_a_file_from_the_network_and_an_empty_file_are_fine():
    files = [{"path": "/a", "contents": {"source": "http://x/y"}}, {"path": "/b"}]
    document = {"ignition": {"version": "3.4.0"}, "storage": {"files": files}}
    assert parse_config(json.dumps(document).encode()).files == {"/a": b"", "/b": b""}


def test_units_are_listed():
    document = {"ignition": {"version": "3.4.0"}, "systemd": {"units": [{"name": "a.service"}]}}
    assert parse_config(json.dumps(document).encode()).units == {"a.service"}


def test_an_environment_file_is_read_with_quotes_and_comments():
    text = b'# comment\nA=1\nB="two words"\nC=\'x\'\nbroken\nD="half\n'
    assert read_environment(text) == {"A": "1", "B": "two words", "C": "x", "D": '"half'}


def test_a_digest_is_lower_case_sha512():
    assert digest(b"").startswith("cf83e1357eefb8bd")


@given(st.binary(max_size=300))
def test_any_bytes_survive_a_percent_encoded_data_url(data):
    text = "".join(f"%{byte:02x}" for byte in data)
    assert decode_data_url("data:," + text) == data


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_parser(data):
    with pytest.raises(BadConfig):
        parse_config(data)
