"""Composing: what each profile holds, conflicts between snippets, and what a template may use."""

import pytest

from matchbox_sync.compose import ComposeError
from matchbox_sync.marks import skeleton
from matchbox_sync.metadata import MEMBERSHIP_KEYS, EngineFacts
from matchbox_sync.snippets import SnippetLibrary
from matchbox_sync.tests.samples import (
    ENGINE,
    PROFILES,
    ROLE_PROFILES,
    compose,
    machine,
    metadata_of,
    own_library,
    site_library,
)

COMMON_PATHS = {
    "/etc/flatcar/update.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/metadata-endpoints.env",
    "/etc/systemd/timesyncd.conf.d/50-enjoliver.conf",
}
COMMON_UNITS = {"locksmithd.service", "systemd-timesyncd.service", "update-engine.service"}
PATHS = {
    "discovery": COMMON_PATHS | {"/etc/enjoliver/discovery"},
    "role": COMMON_PATHS
    | {
        "/etc/cni/net.d/10-enjoliver.conflist",
        "/etc/enjoliver/environment",
        "/etc/enjoliver/role",
        "/etc/modules-load.d/enjoliver.conf",
        "/etc/sysctl.d/90-enjoliver.conf",
        "/etc/systemd/network/05-perennial.network",
        "/etc/systemd/network/10-boot.network",
    },
}
UNITS = {
    "discovery": COMMON_UNITS | {"enjoliver-discover.service", "enjoliver-install.service"},
    "role": COMMON_UNITS
    | {"enjoliver-ready.service", "enjoliver-report.service", "systemd-networkd.service"},
}
ADD_X = {"profiles/kubernetes-node.yaml": "add: [x]"}


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_makes_these_paths_and_units(profile):
    kind = "discovery" if profile == "discovery" else "role"
    composed = compose(profile)
    assert composed.paths == PATHS[kind]
    assert composed.units == UNITS[kind]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_template_is_butane_for_flatcar_with_the_keys_of_ssh(profile):
    document = skeleton(compose(profile).template, None)
    assert (document["variant"], document["version"]) == ("flatcar", "1.1.0")
    assert document["passwd"] == {
        "users": [{"name": "core", "ssh_authorized_keys": list(ENGINE.ssh_keys)}]
    }


def test_discovery_has_no_marks_so_that_all_machines_share_its_bytes():
    assert not compose("discovery").marks


@pytest.mark.parametrize("profile", ROLE_PROFILES)
def test_only_small_texts_depend_on_the_machine(profile):
    for line in compose(profile).template.splitlines():
        if "{{ printf" in line:
            assert len(line) < 4096, line[:200]


@pytest.mark.parametrize("profile", PROFILES)
def test_composing_twice_gives_the_same_bytes(profile):
    assert compose(profile) == compose(profile, library=own_library())


def test_the_boot_part_of_discovery_names_the_route_without_the_sync_gate():
    boot = compose("discovery", kernel_arguments=["quiet"]).boot
    assert boot.as_json() == {
        "kernel": "http://10.0.0.1:5000/assets/flatcar_production_pxe.vmlinuz",
        "initrd": ["http://10.0.0.1:5000/assets/flatcar_production_pxe_image.cpio.gz"],
        "args": [
            "initrd=flatcar_production_pxe_image.cpio.gz",
            "flatcar.first_boot=1",
            "ignition.config.url=http://10.0.0.1:5000/ignition-pxe"
            "?uuid=${uuid}&mac=${net0/mac:hexhyp}",
            "console=tty0",
            "console=ttyS0,115200n8",
            "quiet",
        ],
    }


@pytest.mark.parametrize("profile", ROLE_PROFILES)
def test_the_boot_part_of_a_role_asks_as_the_installed_system(profile):
    args = compose(profile, boot_initrd="flatcar/1/image.cpio.gz").boot.args
    assert args[0] == "initrd=image.cpio.gz"
    assert args[2].endswith("/ignition?uuid=${uuid}&mac=${net0/mac:hexhyp}&os=installed")


@pytest.mark.parametrize(
    "change",
    [
        {"ntp": ["ntp.example.org"]},
        {"sysctl": ["vm.swappiness=0"]},
        {"kernel_arguments": ["quiet"]},
        {"lifecycle_update_polling_seconds": 7},
        {"etc_hosts": ["10.0.0.9 mirror"]},
        {"ssh_authorized_keys": ["ssh-ed25519 AAAA new"]},
    ],
)
def test_a_changed_value_gives_another_fingerprint(change):
    before, after = compose("kubernetes-node"), compose("kubernetes-node", **change)
    assert before.fingerprint != after.fingerprint


def test_another_engine_url_gives_another_fingerprint():
    engine = EngineFacts("http://10.0.0.2:5000", ENGINE.ssh_keys)
    assert compose(engine=engine).fingerprint != compose().fingerprint


def test_a_key_that_is_given_twice_stands_there_once():
    document = skeleton(compose(ssh_authorized_keys=list(ENGINE.ssh_keys)).template, None)
    assert document["passwd"]["users"][0]["ssh_authorized_keys"] == list(ENGINE.ssh_keys)


# --- switches -----------------------------------------------------------------------------------


def test_the_agent_is_fetched_only_when_url_and_digest_are_set():
    fetched = compose(agent_url="http://10.0.0.1/agent.tar.gz", agent_sha512="0" * 128)
    assert fetched.paths - PATHS["role"] == {
        "/etc/enjoliver/agent.env",
        "/opt/enjoliver/bin/fetch-agent",
    }
    assert fetched.units - UNITS["role"] == {"enjoliver-agent-fetch.service"}
    assert compose(agent_url="http://10.0.0.1/agent.tar.gz").paths == PATHS["role"]


def test_a_component_is_switched_by_its_value(tmp_path):
    text = "storage: {files: [{path: /etc/etcd.conf}]}"
    library = site_library(tmp_path, {"snippets/etcd/snippet.yaml": text})
    profile = "etcd-member-kubernetes-control-plane"
    assert "/etc/etcd.conf" not in compose(profile, library=library).paths
    assert "/etc/etcd.conf" in compose(profile, library=library, component_etcd=True).paths
    assert "/etc/etcd.conf" not in compose(library=library, component_etcd=True).paths


def test_a_component_that_is_switched_on_and_missing_is_named():
    with pytest.raises(ComposeError, match=r"^kubernetes-node: .*snippets/containerd"):
        compose(component_containerd=True)


def test_an_unknown_switch_is_named(tmp_path):
    add = "add: [{name: x, when: component_nothing}]"
    library = site_library(tmp_path, {"profiles/kubernetes-node.yaml": add})
    with pytest.raises(ComposeError, match="no such switch: component_nothing"):
        compose(library=library)


# --- conflicts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("storage: {files: [{path: /etc/hosts}]}", "/etc/hosts .* snippet hosts and snippet x"),
        ("storage: {links: [{path: /etc/hosts}]}", "/etc/hosts .* snippet hosts and snippet x"),
        ("storage: {files: [{path: /a}, {path: /a}]}", "/a .* snippet x and snippet x"),
        ("systemd: {units: [{name: locksmithd.service}]}", "locksmithd.service .* updates .* x"),
        ("passwd: {users: [{name: core}]}", "core .* snippet ssh and snippet x"),
        ("boot: {kernel: other}", "kernel .* boot-installed and snippet x"),
        ("storage: {files: [{mode: 1}]}", "an entry needs a plain path"),
        ("storage: {files: [x]}", "an entry needs a plain path"),
        ("storage: {files: [{path: '/etc/{{ .hostname }}'}]}", "an entry needs a plain path"),
        ("storage: {files: [{path: etc/a}]}", "'etc/a' is no absolute path"),
        ("storage: {files: [{path: /etc/../a}]}", "is no absolute path"),
        ("storage: {files: {path: /a}}", "storage.files: another snippet has another type"),
        ("storage: [a]", "storage: another snippet has another type"),
        ("storage: 1", "storage: another snippet has another type"),
        ("variant: fcos", "variant and version are the profile's"),
        ("boot: {cmdline: a}", "only kernel, initrd and args"),
        ("boot: {args: ['a b']}", "'a b': expected one word"),
        ("boot: {args: ['{{ .hostname }}']}", "expected one word"),
        ("boot: {args: [1]}", "expected one word"),
        ("boot: {args: {a: b}}", "another type here"),
        ("boot: {initrd: abc}", "another type here"),
    ],
)
def test_snippets_that_do_not_fit_together_are_named(tmp_path, text, reason):
    library = site_library(tmp_path, {**ADD_X, "snippets/x/snippet.yaml": text})
    with pytest.raises(ComposeError, match=f"^kubernetes-node: .*{reason}"):
        compose(library=library)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{}", "None: expected one word"), ("boot: {kernel: k, args: quiet}", "args are lists")],
)
def test_a_profile_that_cannot_boot_is_refused(tmp_path, text, reason):
    files = {"profiles/p.yaml": "components: [x]", "snippets/x/snippet.yaml": text}
    with pytest.raises(ComposeError, match=reason):
        compose("p", library=site_library(tmp_path, files))


# --- marks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(MEMBERSHIP_KEYS))
def test_membership_never_comes_into_a_document(tmp_path, key):
    text = f"storage: {{files: [{{path: /a, contents: {{inline: 'x {{{{ .{key} }}}}'}}}}]}}"
    library = site_library(tmp_path, {**ADD_X, "snippets/x/snippet.yaml": text})
    with pytest.raises(ComposeError, match=f"snippet x: .*{key}.* is membership"):
        compose(library=library)


@pytest.mark.parametrize("profile", ROLE_PROFILES)
def test_the_metadata_has_every_mark_of_our_templates(profile):
    metadata = metadata_of(machine(profile=profile))
    for mark in compose(profile).marks:
        value = metadata
        for part in mark.split("."):
            value = value[part]
        assert isinstance(value, str), mark


def test_values_that_are_no_unicode_text_are_named():
    for text in ("\ud800", "\ufdd0"):
        with pytest.raises(ComposeError, match="value etc_hosts: not plain Unicode"):
            compose(etc_hosts=[f"10.0.0.1 {text}"])


def test_every_body_of_ours_stands_where_it_lands_and_is_used():
    on = {"agent_url": "http://a/b", "agent_sha512": "0" * 128, "name_servers": ["10.0.0.53"]}
    made = [compose(profile, **on) for profile in PROFILES]
    used = {path for one in made for path in one.paths} | {u for one in made for u in one.units}
    snippets = own_library().roots[0] / "snippets"
    bodies = [path.relative_to(snippets) for path in snippets.rglob("*/*/*") if path.is_file()]
    assert len(bodies) > 15
    for _, kind, *place in (body.parts for body in bodies):
        assert (f"/{'/'.join(place)}" if kind == "files" else place[0]) in used, place


def test_every_snippet_of_ours_says_what_it_does():
    for path in sorted((own_library().roots[0] / "snippets").glob("*/snippet.yaml")):
        assert path.read_text().startswith("# "), path


def test_all_components_of_ours_are_in_a_profile():
    library = own_library()
    listed = {c.name for profile in PROFILES for c in library.components(profile)}
    assert {path.name for path in (library.roots[0] / "snippets").iterdir()} <= listed


def test_a_later_root_wins(tmp_path):
    assert SnippetLibrary((tmp_path, own_library().roots[0])).components("discovery")
