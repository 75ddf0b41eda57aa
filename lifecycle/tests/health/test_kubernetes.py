"""The kind kubernetes: an API-shaped server for what a real one seldom says.

`test_kubernetes_real.py` asks kube-apiserver itself.
"""

import base64
import shutil
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from lifecycle.health import ExpectedNode, check_config
from lifecycle.health.kubernetes import Node, judge
from lifecycle.tests.health.nodes import kubeconfig, node, node_list
from lifecycle.tests.health.servers import server_context, serving


def expect(*names):
    return [ExpectedNode(name, (name, name.partition(".")[0])) for name in names]


class Api:
    """A server that lists nodes page by page, and keeps what it was asked."""

    def __init__(self, nodes, page=2):
        self.nodes, self.page, self.asked = nodes, page, []

    def __call__(self, request):
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append((url.path, query, request.headers.get("Authorization")))
        if url.path != "/api/v1/nodes":
            return 404, {}, b"{}"
        start = int(query.get("continue", "0"))
        end = start + self.page
        more = str(end) if end < len(self.nodes) else ""
        return 200, {"Content-Type": "application/json"}, node_list(self.nodes[start:end], more)


def test_every_expected_node_must_be_there_and_ready(check, files):
    api = Api([node("a.dc1"), node("b"), node("c.dc1"), node("other", ready="False"), node("e")])
    with serving(api) as url:
        (files / "admin.conf").write_text(kubeconfig(url, token="s3cret"))
        config = {"kubeconfig_file": "admin.conf"}
        result = check("kubernetes", config, nodes=expect("a.dc1", "b.dc1", "c.dc1"))
        assert (result.is_good, result.message) == (True, "3 of 3 nodes are Ready")
        missing = check("kubernetes", config, nodes=expect("a.dc1", "d.dc1"))
        bad = check("kubernetes", config, nodes=expect("other", "a.dc1"))
        none = check("kubernetes", config)
    assert missing.message == "d.dc1: it is no node of the cluster"
    assert bad.message == "other: its node is not Ready (KubeletNotReady)"
    assert none.message == "no node is expected now"
    paths, queries, tokens = zip(*api.asked[:3], strict=True)
    assert set(paths) == {"/api/v1/nodes"}
    assert [query.get("continue") for query in queries] == [None, "2", "4"]
    assert {query["limit"] for query in queries} == {"250"}
    assert set(tokens) == {"Bearer s3cret"}


@pytest.mark.parametrize(
    ("nodes", "config", "is_good"),
    [
        ({"a": Node(True, True)}, {}, True),
        ({"a": Node(True, True)}, {"allow_cordoned": False}, False),
        ({"a": Node(True, False)}, {"allow_cordoned": False}, True),
        ({}, {}, False),
        ({}, {"allow_missing": True}, True),
        ({"a": Node(False, False, "x")}, {"allow_missing": True}, False),
        ({"a": Node(False, False, "x")}, {"max_not_ready": "1"}, True),
        ({"a": Node(False, False, "x")}, {"max_not_ready": "99%"}, False),
    ],
)
def test_what_is_tolerated_is_configured(nodes, config, is_good):
    assert judge(nodes, expect("a"), config).is_good is is_good


def test_per_cent_of_the_nodes_are_rounded_down():
    nodes = {f"n{number}": Node(number >= 2, False, "x") for number in range(40)}
    wanted = expect(*nodes)
    assert judge(nodes, wanted, {"max_not_ready": "5%"}).is_good
    result = judge(nodes, wanted, {"max_not_ready": "4%"})
    assert result.message == "n0: its node is not Ready (x) (and 1 more); 1 are tolerated"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b"{}", "answers 401: the gate's user may not list nodes"),
        (403, b"{}", "answers 403: the gate's user may not list nodes"),
        (410, b'{"kind": "Status"}', 'answers 410: {"kind": "Status"}'),
        (200, b'{"kind": "Status"}', "answers no list of nodes"),
        (200, b"nothing", "answers no JSON"),
        (200, b'{"kind": "NodeList", "items": [{"metadata": {}}]}', "nodes of an unknown form"),
        (
            200,
            b'{"kind": "NodeList", "items": [{"metadata": {"name": "a"}}]}',
            "a: its node is not Ready (Ready is missing)",
        ),
        (200, b'{"kind": "NodeList"}', "a: it is no node of the cluster"),
    ],
)
def test_another_answer_than_a_list_of_nodes_is_bad(check, files, status, body, message):
    with serving(lambda request: (status, {}, body)) as url:
        (files / "admin.conf").write_text(kubeconfig(url))
        result = check("kubernetes", {"kubeconfig_file": "admin.conf"}, nodes=expect("a"))
    assert not result.is_good
    assert message in result.message


@pytest.mark.parametrize("is_inline", [True, False])
def test_certificates_of_a_kubeconfig_are_used(check, files, authority, is_inline):
    folder = files / "cluster"
    folder.mkdir()
    user: dict[str, str] = {}
    cluster: dict[str, str] = {}
    for part, key, name in (
        (cluster, "certificate-authority", "ca.pem"),
        (user, "client-certificate", "client.pem"),
        (user, "client-key", "client.key"),
    ):
        if is_inline:
            data = (authority.folder / name).read_bytes()
            part[f"{key}-data"] = base64.b64encode(data).decode()
        else:
            shutil.copy(authority.folder / name, folder / name)
            part[key] = name
    cluster["tls-server-name"] = "kubernetes"
    context = server_context(
        authority.folder / "server.pem", authority.folder / "server.key", authority.pem
    )
    with serving(Api([node("a")]), context) as url:
        text = kubeconfig(url, user=user, cluster=cluster)
        (folder / "admin.conf").write_text(text)
        config = {"kubeconfig_file": "cluster/admin.conf"}
        result = check("kubernetes", config, nodes=expect("a"))
        assert result.message == "1 of 1 nodes are Ready"
        (folder / "admin.conf").write_text(kubeconfig(url, user={}, cluster=cluster))
        assert not check("kubernetes", config, nodes=expect("a")).is_good


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"cluster": {"insecure-skip-tls-verify": True}}, "uses insecure-skip-tls-verify"),
        ({"cluster": {"proxy-url": "http://x"}}, "uses proxy-url"),
        ({"user": {"exec": {"command": "sh"}}}, "uses exec"),
        ({"user": {"auth-provider": {"name": "x"}}}, "uses auth-provider"),
        ({"user": {"username": "a", "password": "b"}}, "uses username"),
        ({"user": {"tokenFile": "/etc/shadow"}}, "leads out of"),
        ({"user": {"tokenFile": "../outside"}}, "leads out of"),
        ({"user": {"token": 5}}, "has a token that is no text"),
        ({"user": {"client-certificate-data": "!"}}, "that is no base64"),
        ({"cluster": {"server": "http://a:b@c"}}, "has a server that cannot be asked"),
        ({"cluster": {"server": None}}, "names no server"),
    ],
)
def test_what_a_kubeconfig_may_not_do_is_refused(check, files, more, message):
    (files.parent / "outside").write_text("secret")
    text = kubeconfig("https://127.0.0.1:1", **more)
    (files / "admin.conf").write_text(text)
    result = check("kubernetes", {"kubeconfig_file": "admin.conf"})
    assert not result.is_good
    assert message in result.message, result.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "admin.conf is no YAML"),
        ("5", "admin.conf is no kubeconfig"),
        ("{}", "admin.conf names no current-context"),
        ("current-context: a", "admin.conf has no context a"),
        ("{current-context: a, contexts: [{name: a}]}", "admin.conf has an empty context"),
        ("!!python/object/apply:os.system ['true']", "admin.conf is no YAML"),
    ],
)
def test_a_file_that_is_no_kubeconfig_says_so(check, files, text, message):
    (files / "admin.conf").write_text(text)
    assert check("kubernetes", {"kubeconfig_file": "admin.conf"}).message == message


def test_another_context_than_the_current_one_can_be_named(check, files):
    with serving(Api([node("a")])) as url:
        document = yaml.safe_load(kubeconfig(url))
        document["current-context"] = "gone"
        (files / "admin.conf").write_text(yaml.safe_dump(document))
        config = {"kubeconfig_file": "admin.conf"}
        assert check("kubernetes", config).message == "admin.conf has no context gone"
        assert check("kubernetes", config | {"context": "only"}).is_good


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "kubeconfig_file"),
        ({"kubeconfig_file": "/etc/kubernetes/admin.conf"}, "kubeconfig_file"),
        ({"kubeconfig_file": "a", "allow_cordoned": "yes"}, "allow_cordoned"),
        ({"kubeconfig_file": "a", "max_not_ready": 1}, "max_not_ready"),
        ({"kubeconfig_file": "a", "max_not_ready": "100%"}, "max_not_ready"),
        ({"kubeconfig": "a", "kubeconfig_file": "a"}, "kubeconfig"),
    ],
)
def test_a_configuration_that_cannot_work_names_the_field(config, field):
    assert list(check_config("kubernetes", config)) == [field]
