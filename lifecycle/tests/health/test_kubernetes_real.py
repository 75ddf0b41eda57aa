"""The kind kubernetes on kube-apiserver itself, with etcd behind it: pages, TLS, tokens, rights."""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest

from enjoliver.common.polling import wait_until
from lifecycle.health import ExpectedNode, kubernetes
from lifecycle.tests.health.certificates import Authority
from lifecycle.tests.health.nodes import kubeconfig
from lifecycle.tests.health.servers import Etcd, Process
from tools.ports import free_port

pytestmark = pytest.mark.kubernetes
PROGRAM = "ENJOLIVER_TEST_KUBE_APISERVER"


class Api:
    """One API server, and what an administrator does there."""

    def __init__(self, folder, authority, etcd):
        self.authority = authority
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        key = folder / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (folder / "tokens.csv").write_text("nobodys-token,nobody,1\n")
        options = {
            "etcd-servers": ",".join(etcd.endpoints),
            "bind-address": "127.0.0.1",
            "secure-port": str(port),
            "tls-cert-file": authority.folder / "server.pem",
            "tls-private-key-file": authority.folder / "server.key",
            "client-ca-file": authority.pem,
            "token-auth-file": folder / "tokens.csv",
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.96.0.0/16",
        }
        arguments = [os.environ[PROGRAM], *(f"--{name}={value}" for name, value in options.items())]
        self.log = folder / "apiserver.log"
        self.process = Process(arguments, self.log)
        self.context = ssl.create_default_context(cafile=authority.pem)
        self.context.load_cert_chain(authority.folder / "admin.pem", authority.folder / "admin.key")
        wait_until(self._is_ready, seconds=240, interval=0.5, what="the API server is ready")

    def _is_ready(self):
        try:
            return self.ask("GET", "/readyz") == b"ok"
        except OSError:
            return False

    def ask(self, method, path, document=None, kind="application/json"):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", body, {"Content-Type": kind}, method=method
        )
        with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
            return answer.read()

    def node(self, name, ready):
        """Make a node, and say how it is as a kubelet does."""
        self.ask("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        self.set_ready(name, ready)

    def set_ready(self, name, ready):
        condition = {"type": "Ready", "status": ready, "reason": "SaidByTheTest"}
        self.patch(f"{name}/status", {"status": {"conditions": [condition]}})

    def patch(self, path, document):
        kind = "application/strategic-merge-patch+json"
        self.ask("PATCH", f"/api/v1/nodes/{path}", document, kind)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    assert os.environ.get(PROGRAM), f"{PROGRAM} must name a kube-apiserver"
    folder = tmp_path_factory.mktemp("kubernetes")
    authority = Authority(folder / "pki")
    authority.issue("server")
    authority.issue("admin", "system:masters")
    etcd = Etcd(folder, size=1)
    try:
        found = Api(folder, authority, etcd)
        yield found
        found.process.kill()
    finally:
        etcd.stop()


@pytest.fixture
def configure(api, files):
    """Write a kubeconfig for a user and give the gate's configuration."""
    (files / "ca.pem").write_bytes(api.authority.pem.read_bytes())
    for end in ("pem", "key"):
        name = f"admin.{end}"
        (files / name).write_bytes((api.authority.folder / name).read_bytes())

    def write(user, name="admin.conf"):
        cluster = {"certificate-authority": "ca.pem"}
        (files / name).write_text(kubeconfig(api.url, user=user, cluster=cluster))
        return {"kubeconfig_file": name}

    return write


ADMIN = {"client-certificate": "admin.pem", "client-key": "admin.key"}


def test_nodes_are_judged_as_the_api_server_shows_them(api, check, configure, monkeypatch):
    monkeypatch.setattr(kubernetes, "PAGE", 2)
    names = [f"n{number}.dc1" for number in range(5)]
    for name in names:
        api.node(name, "True")
    expected = [ExpectedNode(name, (name,)) for name in names]
    config = configure(ADMIN)

    def result(**more):
        return check("kubernetes", config | more, nodes=expected)

    assert result().message == "5 of 5 nodes are Ready"
    api.set_ready("n3.dc1", "Unknown")
    assert result().message == "n3.dc1: its node is not Ready (SaidByTheTest)"
    assert result(max_not_ready="1").is_good
    api.set_ready("n3.dc1", "True")
    api.patch("n1.dc1", {"spec": {"unschedulable": True}})
    assert result().is_good
    assert result(allow_cordoned=False).message == "n1.dc1: its node is cordoned"
    api.ask("DELETE", "/api/v1/nodes/n4.dc1")
    assert result().message == "n4.dc1: it is no node of the cluster"
    assert result(allow_missing=True).is_good


def test_who_may_not_list_nodes_and_who_is_nobody_are_told_so(api, check, configure):
    for token, status in (("nobodys-token", 403), ("wrong", 401)):
        result = check("kubernetes", configure({"token": token}))
        assert not result.is_good
        assert f"answers {status}: the gate's user may not list nodes" in result.message


def test_an_api_server_of_another_authority_is_not_trusted(api, check, configure, files):
    config = configure(ADMIN)
    (files / "ca.pem").write_bytes(Authority(files.parent / "other").pem.read_bytes())
    assert "CERTIFICATE_VERIFY_FAILED" in check("kubernetes", config).message


def test_a_user_who_may_only_list_nodes_is_enough(api, check, configure):
    rights = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}
    role = {"metadata": {"name": "see-nodes"}, "rules": [rule]}
    try:
        api.ask("POST", f"{rights}/clusterroles", role)
        subject = {"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"}
        reference = {
            "kind": "ClusterRole",
            "name": "see-nodes",
            "apiGroup": "rbac.authorization.k8s.io",
        }
        binding = {"metadata": {"name": "see-nodes"}, "subjects": [subject], "roleRef": reference}
        api.ask("POST", f"{rights}/clusterrolebindings", binding)
    except urllib.error.HTTPError as error:
        pytest.fail(error.read().decode())
    config = configure({"token": "nobodys-token"})
    wait_until(
        lambda: check("kubernetes", config).is_good, seconds=30, what="the rights are in force"
    )
