"""The bodies that we ship, and the examples of docs/templates.md, tried for real."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from configparser import ConfigParser

import pytest
from django.conf import settings as django_settings

from matchbox_sync.ignition import read_ignition
from matchbox_sync.renderer import PrivateMatchbox
from matchbox_sync.tests.real_ignition import applied
from matchbox_sync.tests.samples import PROFILES, compose, group_of, site_library
from matchbox_sync.verify import check_rendered, check_strict

SNIPPETS = django_settings.IGNITION_SNIPPETS
FETCH_AGENT = SNIPPETS / "agent/files/opt/enjoliver/bin/fetch-agent"
EXAMPLE = re.compile(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def matchbox():
    with PrivateMatchbox() as private:
        yield private


def rendered_files(matchbox, profile, *, library=None, facts=None, **values):
    """Compose, render and verify one machine's config; returns its document."""
    composed, group = compose(profile, library=library, **values), group_of(profile, **facts or {})
    answer = matchbox.render(composed, [group])[group.key]
    check_rendered(composed, answer)
    check_strict(answer)
    return read_ignition(answer.ignition)


# --- units and settings -------------------------------------------------------------------------


class _UnitParser(ConfigParser):
    def optionxform(self, optionstr):
        return optionstr  # systemd's keys keep their case


def read_unit(text):
    """A unit file as sections of keys; raises for what is no `key=value`."""
    parser = _UnitParser(strict=False, delimiters="=", interpolation=None)
    parser.read_string(text)
    return parser


@pytest.mark.parametrize("path", sorted(SNIPPETS.rglob("units/*")), ids=lambda path: path.name)
def test_units_say_what_they_are_and_when_they_start(path):
    unit = read_unit(path.read_text())
    assert unit["Unit"]["Description"]
    assert unit["Service"]["ExecStart"].startswith("/opt/enjoliver/")
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_systemd_has_nothing_to_say_about_our_units(tmp_path):
    if not shutil.which("systemd-analyze"):
        return  # a container without systemd; the machines have one
    paths = []
    for path in SNIPPETS.rglob("units/*"):
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", path.read_text())
        paths.append(tmp_path / path.name)
        paths[-1].write_text(text)
    verify = ["systemd-analyze", "verify", "--man=no", *paths]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.matchbox
def test_a_pinned_address_is_static_and_everybody_has_the_perennial_one(matchbox):
    files = rendered_files(matchbox, "kubernetes-node", name_servers=["10.0.0.53"]).files
    network = read_unit(files["/etc/systemd/network/10-boot.network"].decode())
    assert dict(network["Match"]) == {"MACAddress": "52:54:00:00:00:01", "Type": "ether"}
    assert network["Network"]["Address"] == "10.0.0.1/16"
    assert network["Network"]["Gateway"] == "10.0.255.254"
    assert network["Network"]["DHCP"] == "no"
    assert "DNS=10.0.0.53\n" in files["/etc/systemd/resolved.conf.d/50-enjoliver.conf"].decode()
    perennial = read_unit(files["/etc/systemd/network/05-perennial.network"].decode())
    assert perennial["Network"]["Address"] == "172.31.255.255/32"


@pytest.mark.matchbox
def test_without_a_pinned_address_there_is_dhcp(matchbox):
    nothing = {"ipv4": "", "prefix": 0, "gateway": ""}
    values = {"name_servers": ["10.0.0.53"], "network_mtu": 9000}
    values["network_interface_match"] = "bond0"
    files = rendered_files(matchbox, "kubernetes-node", facts=nothing, **values).files
    network = read_unit(files["/etc/systemd/network/10-boot.network"].decode())
    assert dict(network["Match"]) == {"Name": "bond0"}
    assert network["Link"]["MTUBytes"] == "9000"
    assert network["Network"]["DHCP"] == "ipv4"
    assert network["Network"]["Address"] == ""


@pytest.mark.matchbox
def test_dhcp_gives_the_name_servers_that_the_cluster_does_not_set(matchbox):
    files = rendered_files(matchbox, "kubernetes-node").files
    network = read_unit(files["/etc/systemd/network/10-boot.network"].decode())
    assert network["Network"]["DHCP"] == "ipv4"
    assert network["Network"]["Address"] == "10.0.0.1/16"
    assert "/etc/systemd/resolved.conf.d/50-enjoliver.conf" not in files


@pytest.mark.matchbox
@pytest.mark.parametrize("profile", PROFILES)
def test_hosts_name_the_machine_itself_and_what_the_cluster_adds(matchbox, profile):
    line = "10.0.0.9 mirror.example.org mirror"
    text = rendered_files(matchbox, profile, etc_hosts=[line]).files["/etc/hosts"].decode()
    assert text.startswith("127.0.0.1 localhost\n::1 localhost\n")
    assert text.endswith(f"\n{line}\n")
    own_name = "127.0.1.1 r1-srv1.dc1.example.org r1-srv1\n"
    assert (own_name in text) == (profile != "discovery")


@pytest.mark.matchbox
def test_the_cni_file_is_json_with_the_machines_own_network(matchbox):
    files = rendered_files(matchbox, "kubernetes-node", facts={"pod_index": 5}).files
    bridge = json.loads(files["/etc/cni/net.d/10-enjoliver.conflist"])["plugins"][0]
    assert bridge["ipam"]["subnet"] == "100.64.5.0/24"


@pytest.mark.matchbox
def test_the_environment_is_read_alike_by_a_shell(matchbox, tmp_path):
    files = rendered_files(matchbox, "kubernetes-node").files
    path = tmp_path / "environment"
    path.write_bytes(files["/etc/enjoliver/environment"])
    script = (
        f'set -aeu; . {path}; python3 -c "import json, os; print(json.dumps(dict(os.environ)))"'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["ENJOLIVER_UUID"] == "00000000-0000-4000-8000-000000000001"
    assert found["ENJOLIVER_BOOT_MAC"] == "52:54:00:00:00:01"
    assert found["ENJOLIVER_ROLES"] == "kubernetes-node"
    assert found["ENJOLIVER_CLUSTER"] == "default"
    assert found["ENJOLIVER_POD_CIDR"] == "100.64.1.0/24"
    assert found["ENJOLIVER_METADATA_URL"] == (
        "http://10.0.0.1:5000/metadata"
        "?uuid=00000000-0000-4000-8000-000000000001&mac=52:54:00:00:00:01&os=installed"
    )
    assert found["KUBERNETES_ETCD_CLIENT_PORT"] == "4003"


# --- fetch-agent --------------------------------------------------------------------------------


def fetch_agent(base, url, digest):
    """Run the script as its unit does."""
    environment = {
        "PATH": os.environ["PATH"],
        "ENJOLIVER_AGENT_BASE": str(base),
        "ENJOLIVER_AGENT_URL": url,
        "ENJOLIVER_AGENT_SHA512": digest,
    }
    return subprocess.run([FETCH_AGENT], env=environment, capture_output=True, check=False)


def archive(folder, words):
    """An archive as the assets hold it: one folder with the program; returns (URL, digest)."""
    program = folder / "agent" / "enjoliver-agent"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho {words}\n")
    program.chmod(0o755)
    path = folder / f"{words}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(program.parent, "enjoliver-agent")
    return f"file://{path}", hashlib.sha512(path.read_bytes()).hexdigest()


def words_of_agent(base):
    return subprocess.check_output([base / "agent" / "enjoliver-agent"], text=True).strip()


def test_the_agent_is_fetched_replaced_and_kept(tmp_path):
    base = tmp_path / "opt"
    base.mkdir()
    first, second = archive(tmp_path, "one"), archive(tmp_path, "two")
    assert fetch_agent(base, *first).returncode == 0
    assert words_of_agent(base) == "one"
    assert fetch_agent(base, *second).returncode == 0
    assert words_of_agent(base) == "two"
    # Known already: the address is not asked again.
    assert fetch_agent(base, "file:///nowhere", first[1]).returncode == 0
    assert words_of_agent(base) == "one"
    assert not list(base.glob("fetch.*"))


def test_a_file_of_another_digest_is_refused_and_the_agent_stays(tmp_path):
    base = tmp_path / "opt"
    base.mkdir()
    assert fetch_agent(base, *archive(tmp_path, "one")).returncode == 0
    url, _ = archive(tmp_path, "two")
    assert fetch_agent(base, url, "0" * 128).returncode != 0
    assert words_of_agent(base) == "one"
    assert sorted(path.name[:6] for path in base.iterdir()) == ["agent", "agent-"]


def test_the_agent_may_be_one_program(tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho alone\n")
    digest = hashlib.sha512(program.read_bytes()).hexdigest()
    assert fetch_agent(tmp_path, f"file://{program}", digest).returncode == 0
    assert words_of_agent(tmp_path) == "alone"


# --- docs/templates.md --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples():
    text = (django_settings.BASE_DIR / "docs" / "templates.md").read_text()
    return dict(EXAMPLE.findall(text))


@pytest.mark.matchbox
@pytest.mark.ignition
@pytest.mark.parametrize("profile", PROFILES)
def test_the_examples_work_on_a_machine(matchbox, examples, tmp_path, profile):
    library = site_library(tmp_path, examples)
    composed = compose(profile, library=library)
    group = group_of(profile)
    answer = matchbox.render(composed, [group])[group.key]
    check_rendered(composed, answer)
    check_strict(answer)
    with applied(answer.ignition) as root:
        chrony = (root / "etc/chrony/chrony.conf").read_text()
        assert chrony.startswith("server 0.flatcar.pool.ntp.org iburst\nserver 1.")
        assert chrony.endswith("iburst\nmakestep 1 3\n")
        if profile == "kubernetes-node":
            assert (root / "etc/motd").read_text() == (
                "This is r1-srv1, a Kubernetes node; its clock runs in UTC.\n"
                "Pods here: 100.64.1.0/24\n"
            )
        if profile == "etcd-member-kubernetes-control-plane":
            assert (root / "etc/site/registry.env").read_text() == (
                'MIRROR="http://10.0.0.1:5000/assets/registry"\n'
                'CLOCKS="0.flatcar.pool.ntp.org,1.flatcar.pool.ntp.org,2.flatcar.pool.ntp.org"\n'
                'GREETING="{{ no mark"\n'
            )
            owner = "r1-srv1.dc1.example.org belongs to http://10.0.0.1:5000"
            assert (root / "etc/site/owner").read_text() == owner
            assert (root / "etc/systemd/system/registry-mirror.service").is_file()
    assert ("flatcar.autologin=tty1" in composed.boot.args) == (profile == "discovery")


def test_every_file_of_the_examples_is_used(examples, tmp_path):
    library = site_library(tmp_path, {**examples, "snippets/containerd/snippet.yaml": "{}"})
    made = [compose(profile, library=library) for profile in PROFILES]
    assert "/etc/vault/port" not in {path for one in made for path in one.paths}
    on = {"component_vault": True, "component_containerd": True}
    made.append(compose("etcd-member-kubernetes-control-plane", library=library, **on))
    paths = {path for one in made for path in one.paths}
    assert {"/etc/motd", "/etc/site/owner", "/etc/vault/port", "/etc/chrony/chrony.conf"} <= paths
    assert "/etc/motd" in made[-1].paths
    assert len(examples) == 12
