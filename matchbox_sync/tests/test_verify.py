"""Verification: what must never be published is refused, with the place and the reason."""

import base64
import gzip
import json
from dataclasses import replace

import pytest

from matchbox_sync.ignition import IgnitionError, decode_source, read_ignition
from matchbox_sync.renderer import PrivateMatchbox, ScratchGroup
from matchbox_sync.tests.real_ignition import applied
from matchbox_sync.tests.samples import (
    PROFILES,
    compose,
    group_of,
    machine,
    metadata_of,
    site_library,
)
from matchbox_sync.verify import VerifyError, check_rendered, check_strict

pytestmark = pytest.mark.matchbox

ADD_X = {"profiles/kubernetes-node.yaml": "add: [x]"}


@pytest.fixture(scope="module")
def matchbox():
    with PrivateMatchbox() as private:
        yield private


@pytest.fixture(scope="module")
def node(matchbox):
    """A composed node profile and one good config of it."""
    composed, group = compose(), group_of("kubernetes-node")
    return composed, matchbox.render(composed, [group])[group.key]


def with_document(rendered, change):
    """`rendered` with its Ignition document changed in place by `change`."""
    document = json.loads(rendered.ignition)
    change(document)
    return replace(rendered, ignition=json.dumps(document).encode())


def with_text(rendered, change):
    """`rendered` with the text before Butane changed in place by `change`."""
    text = json.loads(rendered.butane)
    change(text)
    return replace(rendered, butane=json.dumps(text).encode())


def file_of(document, path):
    return next(entry for entry in document["storage"]["files"] if entry["path"] == path)


def data_url(text):
    return "data:;base64," + base64.b64encode(text.encode()).decode()


# --- the document -------------------------------------------------------------------------------


def drop_file(document):
    document["storage"]["files"].remove(file_of(document, "/etc/hosts"))


def add_file(document):
    document["storage"]["files"].append({"path": "/etc/more", "contents": {"source": "data:,"}})


def add_file_twice(document):
    document["storage"]["files"].append(file_of(document, "/etc/hosts"))


def drop_unit(document):
    document["systemd"]["units"] = document["systemd"]["units"][1:]


def drop_link(document):
    document["storage"]["links"] = []


def drop_version(document):
    document["ignition"] = {"version": ""}


def old_version(document):
    document["ignition"]["version"] = "2.3.0"


def change_content(document):
    file_of(document, "/etc/hosts")["contents"] = {"source": "data:,other"}


def change_mode(document):
    file_of(document, "/etc/hosts")["mode"] = 0o777


def change_unit(document):
    next(u for u in document["systemd"]["units"] if "contents" in u)["contents"] = "[Unit]\n"


def unmask(document):
    next(u for u in document["systemd"]["units"] if u.get("mask"))["mask"] = False


def change_keys(document):
    document["passwd"]["users"][0]["sshAuthorizedKeys"] = ["ssh-ed25519 another"]


def break_gzip(document):
    file_of(document, "/etc/hosts")["contents"] = {"source": "data:,x", "compression": "gzip"}


def break_base64(document):
    file_of(document, "/etc/hosts")["contents"] = {"source": "data:;base64,****"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop_file, r"paths: missing \['/etc/hosts'\]"),
        (add_file, r"not in the profile \['/etc/more'\]"),
        (add_file_twice, "paths: missing"),
        (drop_link, r"paths: missing \['/etc/localtime'\]"),
        (drop_unit, "units: missing"),
        (drop_version, "Ignition version '' is not 3.x"),
        (old_version, "Ignition version '2.3.0' is not 3.x"),
        (change_content, "file /etc/hosts: .*other.* is not what the text before Butane says"),
        (change_mode, "files /etc/hosts mode"),
        (change_unit, "units .* contents"),
        (unmask, "units .* mask"),
        (change_keys, "users core ssh_authorized_keys"),
        (break_gzip, "data:,x"),
        (break_base64, r"\*\*\*\*"),
    ],
)
def test_a_document_that_differs_from_its_text_is_refused(node, change, reason):
    composed, rendered = node
    with pytest.raises(VerifyError, match=reason):
        check_rendered(composed, with_document(rendered, change))


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"\xff", b'{"ignition": 3}'])
def test_what_is_no_ignition_document_is_refused(node, body):
    composed, rendered = node
    with pytest.raises(VerifyError, match="no Ignition document"):
        check_rendered(composed, replace(rendered, ignition=body))


def test_a_document_beyond_reason_is_refused(node):
    composed, rendered = node
    with pytest.raises(VerifyError, match="bytes, over 1048576"):
        check_rendered(composed, replace(rendered, ignition=rendered.ignition + b" " * (1 << 20)))


def test_another_script_is_refused(node):
    composed, rendered = node
    with pytest.raises(VerifyError, match="iPXE script"):
        check_rendered(composed, replace(rendered, ipxe=b"#!ipxe\nkernel other\nboot\n"))


# --- the text before Butane ---------------------------------------------------------------------


def add_key(text):
    text["more"] = 1


def drop_entry(text):
    text["storage"]["files"].pop()


def change_literal(text):
    text["storage"]["links"][0]["target"] = "../other"


def change_type(text):
    text["systemd"]["units"][0]["enabled"] = "true"


def fill_with_a_mapping(text):
    file_of(text, "/etc/hostname")["contents"]["inline"] = {"a": "b"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (add_key, r"keys .*'more'"),
        (drop_entry, r"\.storage\.files: \d+ entries instead of"),
        (change_literal, r"\.storage\.links\[0\]\.target: '\.\./other' is not"),
        (change_type, r"\.systemd\.units\[0\]\.enabled: 'true' is not"),
        (fill_with_a_mapping, "where text was to be filled in"),
    ],
)
def test_a_text_of_another_shape_than_the_template_is_refused(node, change, reason):
    composed, rendered = node
    with pytest.raises(VerifyError, match=reason):
        check_rendered(composed, with_text(rendered, change))


def test_a_text_that_cannot_be_read_is_refused(node):
    composed, rendered = node
    with pytest.raises(VerifyError, match="cannot be read"):
        check_rendered(composed, replace(rendered, butane=b"a: ["))


# --- promises -----------------------------------------------------------------------------------


def check_machine(matchbox, metadata):
    """Render and check a node with odd metadata."""
    composed = compose()
    group = ScratchGroup("x", "52:54:00:00:00:01", metadata)
    check_rendered(composed, matchbox.render(composed, [group])["x"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hostname": ""}, "/etc/hostname: .* is no host name"),
        ({"hostname": "a.b"}, "/etc/hostname: .* is no host name"),
        ({"hostname": "a b"}, "/etc/hostname: .* is no host name"),
        ({"fqdn": "<no value>"}, "holds '<no value>'"),
        ({"fqdn": "-----BEGIN RSA PRIVATE KEY-----"}, "holds 'PRIVATE KEY-----'"),
        ({"roles": "etcd-member"}, "is not the role of kubernetes-node"),
        ({"roles": ""}, "is not the role of kubernetes-node"),
        ({"pod": {"cidr": "", "index": "1"}}, "no pod network for this machine"),
    ],
)
def test_a_machine_without_what_its_role_promises_is_refused(matchbox, change, reason):
    with pytest.raises(VerifyError, match=reason):
        check_machine(matchbox, {**metadata_of(machine(1)), **change})


def test_a_machine_beyond_the_pod_network_is_refused(matchbox):
    with pytest.raises(VerifyError, match="no pod network"):
        check_machine(matchbox, metadata_of(machine(1, pod_index=16384)))


@pytest.mark.parametrize(
    ("profile", "path"),
    [("kubernetes-node", "/etc/enjoliver/discovery"), ("discovery", "/etc/enjoliver/role")],
)
def test_the_marker_of_another_kind_of_config_is_refused(matchbox, tmp_path, profile, path):
    files = {
        f"profiles/{profile}.yaml": "add: [x]",
        "snippets/x/snippet.yaml": f"storage: {{files: [{{path: {path}}}]}}",
    }
    composed, group = compose(profile, library=site_library(tmp_path, files)), group_of(profile)
    with pytest.raises(VerifyError, match="belongs to discovery only"):
        check_rendered(composed, matchbox.render(composed, [group])[group.key])


# --- strict -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("storage: {files: [{path: /a, content: {inline: x}}]}", "Unused key content"),
        ("strange: {a: b}", "Unused key strange"),
        ("systemd: {units: [{name: a.service, enable: true}]}", "Unused key enable"),
    ],
)
def test_keys_that_butane_does_not_know_are_refused(matchbox, tmp_path, text, reason):
    composed = compose(library=site_library(tmp_path, {**ADD_X, "snippets/x/snippet.yaml": text}))
    group = group_of("kubernetes-node")
    rendered = matchbox.render(composed, [group])[group.key]
    check_rendered(composed, rendered)
    with pytest.raises(VerifyError, match=reason):
        check_strict(rendered)


def test_a_missing_butane_is_said_so(node, settings):
    settings.BUTANE_BIN = "/nowhere/butane"
    with pytest.raises(VerifyError, match=r"butane cannot check the config: .*/nowhere/butane"):
        check_strict(node[1])


def test_values_that_only_yaml_can_read_are_good(matchbox):
    """Go writes U+007F as \\x7f and a bell as \\a, which JSON does not know."""
    composed = compose()
    metadata = {**metadata_of(machine(1)), "fqdn": "odd\x7f\x07name"}
    answer = matchbox.render(composed, [ScratchGroup("x", "52:54:00:00:00:01", metadata)])["x"]
    check_rendered(composed, answer)
    check_strict(answer)


# --- reading ------------------------------------------------------------------------------------


def test_data_urls_are_decoded_in_every_spelling():
    zipped = base64.b64encode(gzip.compress(b"x" * 99)).decode()
    assert decode_source("data:,a%20b") == b"a b"
    assert decode_source("data:;base64,YSBi") == b"a b"
    assert decode_source(f"data:;base64,{zipped}", "gzip") == b"x" * 99
    with pytest.raises(IgnitionError, match="is no data URL"):
        decode_source("http://10.0.0.1/file")


def test_a_file_that_the_machine_fetches_is_not_among_the_contents():
    body = {
        "ignition": {"version": "3.4.0"},
        "storage": {"files": [{"path": "/a", "contents": {"source": "http://10.0.0.1/a"}}]},
    }
    document = read_ignition(json.dumps(body).encode())
    assert (document.paths, document.files) == (["/a"], {})


# --- the real Ignition --------------------------------------------------------------------------


@pytest.mark.ignition
@pytest.mark.parametrize("profile", PROFILES)
def test_the_real_ignition_makes_the_machine_that_the_profile_describes(matchbox, profile):
    agent = {"agent_url": "http://10.0.0.1/agent.tar.gz", "agent_sha512": "0" * 128}
    composed, group = compose(profile, **agent), group_of(profile)
    answer = matchbox.render(composed, [group])[group.key]
    check_rendered(composed, answer)
    check_strict(answer)
    with applied(answer.ignition) as root:
        check_files(root, read_ignition(answer.ignition))
        check_units(root, read_ignition(answer.ignition))


def check_files(root, document):
    for path, content in document.files.items():
        assert (root / path[1:]).read_bytes() == content
    for entry in document.entries("storage", "files"):
        assert (root / entry["path"][1:]).stat().st_mode & 0o7777 == entry["mode"]
    assert (root / "etc/localtime").readlink().as_posix() == "../usr/share/zoneinfo/UTC"
    keys = (root / "home/core/.ssh/authorized_keys").read_text()
    assert keys == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ops@example\n"


def check_units(root, document):
    presets = (root / "etc/systemd/system-preset/20-ignition.preset").read_text()
    for unit in document.entries("systemd", "units"):
        landed = root / "etc/systemd/system" / unit["name"]
        if unit.get("mask"):
            assert landed.readlink().as_posix() == "/dev/null"
        else:
            assert f"enable {unit['name']}\n" in presets
        if unit.get("contents"):
            assert landed.read_text() == unit["contents"]
