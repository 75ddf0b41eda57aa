"""Marks: what is one, and that literal text survives JSON, YAML and Go's template reader."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from matchbox_sync.marks import (
    BRACE,
    Mark,
    Marked,
    MarkError,
    dump_template,
    parse_marks,
    protect,
    skeleton,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=BRACE))
HOSTILE = st.lists(
    st.sampled_from(["{{", "}}", "{", '"', "\\", "%", "%s", "\n", "\t", "<", "&", "\u2028", "😀"])
    | TEXTS
).map("".join)


def test_a_text_without_marks_stays_as_it_is():
    assert parse_marks("plain } { text") == "plain } { text"


def test_marks_and_the_text_around_them_are_told_apart():
    found = parse_marks("a {{ .network.ip }} b{{.hostname}}")
    assert found == Marked(("a ", Mark("network.ip"), " b", Mark("hostname")))
    assert found.keys == {"network.ip", "hostname"}


@pytest.mark.parametrize(
    "text",
    [
        "{{ hostname }}",
        "{{ .a | upper }}",
        "{{- .a -}}",
        "{{ if .a }}x{{ end }}",
        "{{ . }}",
        "{{ .a }",
        "{{ index . 1 }}",
        "{{ .a.1 }}",
        "{{/* a comment */}}",
        "{{ .a }} {{",
    ],
)
def test_any_other_action_of_go_is_refused(text):
    with pytest.raises(MarkError, match="is no mark"):
        parse_marks(text)


@pytest.mark.parametrize("text", ["{{ .request.raw_query }}", "{{ .mac }}", "{{ .os }}"])
def test_a_config_may_not_depend_on_the_request(text):
    with pytest.raises(MarkError, match="reserved"):
        parse_marks(text)


@given(HOSTILE)
def test_braces_of_a_value_never_make_a_mark(value):
    assert parse_marks(protect(value)) == value
    found = parse_marks(f"a{protect(value)}{{{{ .b }}}}")
    assert found == Marked((f"a{value}", Mark("b")))


@given(HOSTILE)
def test_literal_text_survives_json_and_yaml_and_holds_nothing_for_go(text):
    template = dump_template({"a": [text, {"b": text}]})
    assert "{{" not in template
    assert json.loads(template) == {"a": [text, {"b": text}]}
    assert yaml.load(template, yaml.CSafeLoader) == {"a": [text, {"b": text}]}


@given(st.lists(HOSTILE, min_size=2, max_size=5))
def test_a_scalar_with_marks_becomes_one_action(texts):
    marked = Marked(tuple(part for text in texts for part in (text, Mark("a.b"))))
    template = dump_template({"x": marked, "y": "literal"})
    line = next(line for line in template.split("\n") if line.startswith(' "x": '))
    assert line.startswith(' "x": {{ printf "%q" (printf "')
    assert line.endswith(" .a.b) }},")
    assert skeleton(template, None) == {"x": None, "y": "literal"}


def test_the_same_data_gives_the_same_bytes_whatever_the_order_of_keys():
    assert dump_template({"a": 1, "b": [True, None]}) == dump_template({"b": [True, None], "a": 1})


def test_empty_lists_and_mappings_are_written():
    assert json.loads(dump_template({"a": [], "b": {}})) == {"a": [], "b": {}}
