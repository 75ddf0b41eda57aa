"""The schema of cluster values and what is taken for each key."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.errors import InvalidInput
from scheduling.valuedocs import render_docs
from scheduling.valuefiles import format_values, parse_values
from scheduling.values import BY_NAME, SCHEMA, check_value, cluster_values, default_of, merge_values
from scheduling.valuetypes import ValueType, read_text

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(sorted(BY_NAME))


def outcome(function, *args):
    """What the function returns, or the refusal."""
    try:
        return function(*args)
    except InvalidInput as refusal:
        return refusal


def reason_of(name, raw):
    with pytest.raises(InvalidInput) as caught:
        check_value(name, raw)
    assert name in caught.value.value
    assert name in caught.value.fields
    return caught.value.value


@pytest.mark.parametrize("value", SCHEMA, ids=lambda value: value.name)
def test_defaults_and_examples_are_valid(value):
    assert check_value(value.name, default_of(value)) == default_of(value)
    assert check_value(value.name, value.example) == value.example


def test_every_key_stands_once_and_is_described():
    assert len(BY_NAME) == len(SCHEMA)
    assert all(value.meaning.endswith(".") and value.component for value in SCHEMA)
    assert all(name == name.lower() and name.isascii() for name in BY_NAME)


@given(keys, anything)
def test_whatever_is_given_is_a_safe_value_or_a_named_reason(name, raw):
    value = outcome(check_value, name, raw)
    if isinstance(value, InvalidInput):
        assert name in value.fields
        return
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in text)
    assert check_value(name, value) == value


@given(keys, st.lists(st.text(), min_size=1, max_size=3))
def test_command_line_texts_are_read_or_refused(name, texts):
    value = outcome(check_value, name, read_text(BY_NAME[name].type, texts))
    assert not isinstance(value, InvalidInput) or name in value.fields


def test_an_unknown_key_gets_the_nearest_known_one():
    with pytest.raises(InvalidInput, match="did you mean pod_prefix") as caught:
        check_value("pod_prefx", 24)
    assert caught.value.kind == "unknown_key"


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("pod_prefix", "24", "expected an integer, got text"),
        ("pod_prefix", True, "got a boolean"),
        ("pod_prefix", 29, "16 to 28"),
        ("kubernetes_version", 1.34, "needs quotes"),
        ("kubernetes_apiserver_port", 65536, "1 to 65535"),
        ("kubernetes_etcd_data_dir", "var/lib", "absolute path"),
        ("kubernetes_etcd_data_dir", "/var/../etc", "absolute path"),
        ("boot_kernel", "../secrets", "relative path"),
        ("boot_kernel", "a b", "relative path"),
        ("pod_network", "10.0.0.1/8", "host bits"),
        ("pod_network", "10.0.0.0", "prefix"),
        ("kubernetes_service_cluster_ip_range", "10.0.0.0/8", "/12 to /28"),
        ("perennial_local_host_ip", "::1", "IPv4 address"),
        ("name_servers", ["10.0.0.999"], "item 1"),
        ("name_servers", "10.0.0.53", "expected a list"),
        ("ntp", ["a", "a"], "twice"),
        ("ntp", [f"n{i}" for i in range(101)], "more than 100"),
        ("ntp", ["not a host"], "blanks"),
        ("etc_hosts", ["10.0.0.1"], "host names"),
        ("etc_hosts", ["10.0.0.1 a\n10.0.0.2 b"], "U+000A"),
        ("etc_hosts", ["10.0.0.1 a\u2028b"], "U+2028"),
        ("sysctl", ["a=1", "a=2"], "twice"),
        ("sysctl", ["no value"], "key=value"),
        ("kernel_arguments", ["a b"], "without blanks"),
        ("kernel_arguments", ["x=${uuid}"], "without blanks"),
        ("kernel_arguments", ["ignition.config.url=http://evil"], "engine sets"),
        ("console_arguments", ["quiet"], "console="),
        ("ssh_authorized_keys", ['command="x" ssh-ed25519 AAAA'], "OpenSSH"),
        ("kernel_modules", ["../evil"], "module name"),
        ("timezone", "Mars/Phobos", "database"),
        ("timezone", "../etc/passwd", "time zone"),
        ("disk_ladder", [], "at least one"),
        ("disk_ladder", ["S=20", "M=10"], "rising"),
        ("agent_url", "ftp://x/y", "http"),
        ("agent_url", "http://user:secret@x/y", "credentials"),
        ("agent_url", "http://[::1", "agent_url"),
        ("agent_sha512", "abc", "128"),
        ("network_mtu", 100, "1280 to 9216"),
        ("network_interface_match", "eth0; rm", "pattern"),
        ("install_version", "<no value>", "missing key"),
        ("component_etcd", "yes", "true or false"),
        ("component_etcd", None, "got nothing"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(name, raw, reason):
    assert reason in reason_of(name, raw)


def test_overrides_lie_over_the_defaults_in_the_order_of_the_schema():
    class FakeCluster:
        values = {"pod_prefix": 25, "gone_in_this_release": 1}

    values = cluster_values(FakeCluster())
    assert list(values) == [value.name for value in SCHEMA]
    assert values["pod_prefix"] == 25
    assert values["pod_network"] == "100.64.0.0/10"


def test_lists_are_fresh_at_each_call():
    merge_values({})["ntp"].append("evil")
    assert "evil" not in merge_values({})["ntp"]


@pytest.mark.parametrize(
    ("value_type", "texts", "expected"),
    [
        (ValueType.PORT, ["4003"], 4003),
        (ValueType.INTEGER, ["x"], "x"),
        (ValueType.BOOLEAN, ["True"], True),
        (ValueType.BOOLEAN, ["yes"], "yes"),
        (ValueType.WORDS, ["a, b", "c"], ["a", "b", "c"]),
        (ValueType.LINES, ["console=ttyS0,115200n8"], ["console=ttyS0,115200n8"]),
        (ValueType.LINES, [""], []),
        (ValueType.STRING, ["first", "last"], "last"),
    ],
)
def test_texts_of_the_command_line_become_values(value_type, texts, expected):
    assert read_text(value_type, texts) == expected


def test_values_survive_the_way_through_yaml():
    values = merge_values({"etc_hosts": ["10.0.0.1 é.example".replace("é", "e")]})
    assert parse_values(format_values(values)) == values
    assert format_values({}) == ""
    assert parse_values("") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b", "mapping"),
        ("a: 1\na: 2", "a stands there twice"),
        ("a: [", "not YAML"),
        ("a: !!python/object/apply:os.system [x]", "not YAML"),
        ("a: \x00", "not YAML"),
        ("x" * 300_000, "longer"),
        ("[" * 5000, "not YAML"),
        ("{[1]: 2}", "not YAML"),
    ],
)
def test_broken_yaml_is_refused_with_the_reason(text, reason):
    with pytest.raises(InvalidInput, match=reason):
        parse_values(text)


@given(st.text(max_size=200))
def test_no_text_breaks_the_yaml_reader(text):
    assert isinstance(outcome(parse_values, text), dict | InvalidInput)


def test_the_documentation_is_up_to_date(settings):
    page = settings.BASE_DIR / "docs" / "cluster-values.md"
    assert page.read_text(encoding="utf-8") == render_docs(), "manage.py values docs --write"
