"""Snippets: rendering, values as data, bodies, profiles, and a site's own directory."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matchbox_sync.marks import BRACE, Mark, Marked
from matchbox_sync.snippets import Component, ComposeError, SnippetLibrary
from matchbox_sync.templating import env_quote
from matchbox_sync.tests.samples import own_library, site_library

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=BRACE))


@pytest.fixture
def snippet(tmp_path):
    """Render one snippet.yaml (and bodies) with a context."""

    def render(text, context=None, **bodies):
        files = {"snippets/x/snippet.yaml": text}
        files |= {f"snippets/x/{name}": body for name, body in bodies.items()}
        return site_library(tmp_path, files).snippet("x", context or {})

    return render


def test_values_are_put_in_as_data_of_their_own_type(snippet):
    text = (
        "a: <%= words %>\nb: <%= number %>\nc: {d: <%= mapping %>}\ne: x<%= word %>y<%= number %>"
    )
    context = {"words": ["v", "w"], "number": 3, "mapping": {"k": [True]}, "word": "W"}
    found = snippet(text, context).butane
    assert found == {"a": ["v", "w"], "b": 3, "c": {"d": {"k": [True]}}, "e": "xWy3"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(TEXTS)
def test_no_value_can_change_the_form_of_a_document(snippet, value):
    found = snippet("a:\n  - b: <%= value %>\n    c: 1\n  - /x/<%= value %>", {"value": value})
    assert found.butane == {"a": [{"b": value, "c": 1}, f"/x/{value}"]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(TEXTS)
def test_values_in_bodies_stay_what_they_are(snippet, value):
    body = "# {{ .hostname }}\n<%= value %>\n"
    found = snippet("a: {local: body}", {"value": value}, body=body).butane["a"]["inline"]
    assert found == Marked(("# ", Mark("hostname"), f"\n{value}\n"))


def test_bodies_stand_where_butane_wants_text(snippet):
    text = (
        "storage: {files: [{path: /etc/x, contents: {local: file}}]}\n"
        "systemd: {units: [{name: x.service, contents_local: unit}]}\n"
    )
    found = snippet(text, file="text\n", unit="[Unit]\n").butane
    assert found["storage"]["files"] == [{"path": "/etc/x", "contents": {"inline": "text\n"}}]
    assert found["systemd"]["units"] == [{"name": "x.service", "contents": "[Unit]\n"}]


def test_lines_with_only_a_block_leave_nothing_behind(snippet):
    body = "<% for item in items %>\n  <%= item %>\n<% endfor %>\nend\n"
    found = snippet("a: {local: body}", {"items": ["x", "y"]}, body=body)
    assert found.butane["a"]["inline"] == "  x\n  y\nend\n"


def test_octal_modes_are_numbers_and_boot_is_kept_apart(snippet):
    found = snippet("storage: {files: [{path: /a, mode: 0644}]}\nboot: {args: [quiet]}")
    assert found.butane["storage"]["files"][0]["mode"] == 0o644
    assert found.boot == {"args": ["quiet"]}
    assert "boot" not in found.butane


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: <%= nothing %>", r"snippet.yaml: line 1: 'nothing' is undefined"),
        ("a: 1\nb: <%= nothing.at.all %>", "line 2: 'nothing' is undefined"),
        ("a: <% if %>", "line 1"),
        ("a: 1\na: 2", "a: stands there twice"),
        ("a: {b: 1", "expected"),
        ("- a", "expected a mapping"),
        ("a: 2026-01-01", "cannot stand in a document"),
        ("1: a", "is no key"),
        ("'{{ .a }}': a", "is no key"),
        ("a: '{{ .a | b }}'", "is no mark"),
        ("a: {{ .b }}", "snippet.yaml"),
        ("boot: [a]", "boot: expected a mapping"),
        ("a: {local: ../../secret}", "is no body of this snippet"),
        ("a: {local: /etc/passwd}", "is no body of this snippet"),
        ("a: {local: missing}", "No such file"),
        ("a: {local: 3}", "is no body of this snippet"),
        ("a: {local: [x]}", "is no body of this snippet"),
        ('a: {local: "x\\0y"}', "is no body of this snippet"),
        ("a: {local: .}", "Is a directory"),
        ("a: <%= 1 // 0 %>", "line 1: .*zero"),
        ("a: <%= {}['x']['y'] %>", "line 1"),
        (f"a: {'[' * 5000}", "snippet.yaml"),
        ("a: <%= ''.__class__.__mro__ %>", "unsafe"),
        (f"a: {BRACE}0{BRACE}", r"U\+FDD0 is reserved"),
    ],
)
def test_a_broken_snippet_is_named_with_the_reason(snippet, text, reason):
    with pytest.raises(ComposeError, match=reason):
        snippet(text)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("a\nb <%= nothing %>\n", "body: line 2: 'nothing' is undefined"),
        ("<%= items %>", "list has no text"),
        ("<%= none %>", "NoneType has no text"),
        ("{{ .a }} {{ end }}", "is no mark"),
    ],
)
def test_a_broken_body_is_named_with_the_reason(snippet, body, reason):
    with pytest.raises(ComposeError, match=reason):
        snippet("a: {local: body}", {"items": ["x"], "none": None}, body=body)


def test_a_body_that_is_no_text_is_named(snippet, tmp_path):
    snippet("a: 1")
    (tmp_path / "snippets/x/body").write_bytes(b"\xff\xfe")
    with pytest.raises(ComposeError, match="can't decode"):
        snippet("a: {local: body}")


def test_env_quotes_for_systemd_and_shells():
    assert env_quote('a"b\\c$d`e') == '"a\\"b\\\\c\\$d\\`e"'
    assert env_quote(True) == '"true"'
    assert env_quote(3) == '"3"'


# --- profiles and sites -------------------------------------------------------------------------


def test_a_site_adds_components_to_a_profile(tmp_path):
    library = site_library(tmp_path, {"profiles/kubernetes-node.yaml": "add: [motd]"})
    ours = own_library().components("kubernetes-node")
    assert library.components("kubernetes-node") == (*ours, Component("motd"))


def test_a_site_replaces_a_profile(tmp_path):
    text = "components: [a, {name: b, when: component_etcd}]"
    library = site_library(tmp_path, {"profiles/kubernetes-node.yaml": text})
    found = library.components("kubernetes-node")
    assert found == (Component("a"), Component("b", "component_etcd"))


def test_a_site_replaces_a_component_of_the_same_name(tmp_path):
    library = site_library(tmp_path, {"snippets/updates/snippet.yaml": "storage: {}"})
    assert library.snippet("updates", {}).butane == {"storage": {}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("components: [1]", "1 is no component"),
        ("components: [{name: a, if: b}]", "is no component"),
        ("components: [../a]", "is no component"),
        ("components: [{when: b}]", "is no component"),
        ("snippets: [a]", "expected `components` or `add`"),
        ("[a]", "expected `components` or `add`"),
        ("components: [", "profiles/p.yaml"),
    ],
)
def test_a_broken_profile_is_named_with_the_reason(tmp_path, text, reason):
    library = site_library(tmp_path, {"profiles/p.yaml": text})
    with pytest.raises(ComposeError, match=reason):
        library.components("p")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ComposeError, match=r"no profiles/nobody\.yaml"):
        own_library().components("nobody")
    with pytest.raises(ComposeError, match=r"no snippets/nobody/snippet\.yaml"):
        own_library().snippet("nobody", {})
    with pytest.raises(ComposeError, match="ENJOLIVER_TEMPLATES"):
        SnippetLibrary.from_directories(tmp_path, tmp_path / "missing")
