"""An engine of the tests: answers as the contract says, and remembers what it was asked."""

import base64
import http.server
import json
import threading
from collections import Counter
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from agent.ignition import digest
from agent.tests.machines import MAC, UUID


def role_config(*, uuid=UUID, mac=MAC, role="kubernetes-node", extra="", is_discovery=False):
    """An Ignition config as the engine serves it."""
    environment = (
        f'ENJOLIVER_UUID="{uuid}"\nENJOLIVER_BOOT_MAC="{mac}"\nENJOLIVER_ROLES="{role}"\n'
        f'ENJOLIVER_RAW_QUERY="uuid={uuid}&mac={mac}&os=installed"\n'
    )
    files = {"/etc/enjoliver/environment": environment, "/etc/enjoliver/role": f"{role}\n"}
    if is_discovery:
        files = {"/etc/enjoliver/discovery": "yes\n"}
    listed = [{"path": path, "contents": {"source": _url(text)}} for path, text in files.items()]
    listed.append({"path": "/etc/extra", "contents": {"source": _url(extra)}})
    return json.dumps({"ignition": {"version": "3.4.0"}, "storage": {"files": listed}}).encode()


def _url(text):
    return "data:;base64," + base64.b64encode(text.encode()).decode()


def metadata(members=("10.64.0.11",), *, uuid=UUID, mac=MAC, names="cp-1.dc1.test", **changes):
    """The engine's `/metadata` of one machine; a change to None leaves a key out."""
    values = {
        "UUID": uuid,
        "BOOT_MAC": mac,
        "CNI": '{"type": "host-local"}',
        "REQUEST_QUERY_UUID": "anything=at all",
        "ETCD_MEMBER_KUBERNETES_CONTROL_PLANE_IP_LIST": ",".join(members),
        "ETCD_MEMBER_KUBERNETES_CONTROL_PLANE_NAMES": names,
        "KUBERNETES_APISERVER_COUNT": str(len(members)),
        "KUBERNETES_APISERVER_URI_LIST": ",".join(f"https://{one}:6443" for one in members),
        "VAULT_IP_LIST": ",".join(members),
    }
    for port, name in ((2380, "KUBERNETES"), (2390, "VAULT"), (2370, "FLEET")):
        urls = ",".join(f"https://{one}:{port}" for one in members)
        values[f"{name}_ETCD_INITIAL_CLUSTER"] = ",".join(
            f"{one}=https://{one}:{port}" for one in members
        )
        values[f"{name}_ETCD_MEMBER_CLIENT_URI_LIST"] = urls
        values[f"{name}_ETCD_MEMBER_PEER_URI_LIST"] = urls
    values |= changes
    lines = sorted(f"{key}={value}" for key, value in values.items() if value is not None)
    return "".join(f"{line}\n" for line in lines).encode()


class FakeEngine:
    """The engine's side of one machine."""

    def __init__(self):
        self.roles = ["kubernetes-node"]
        self.is_synced = True
        self.config = role_config()
        self.is_away = False
        self.waits_at_gate = 0
        self.grant_seconds = 0
        self.is_grant_ended = False
        self.renewed = []
        self.boots_disk = False
        self.strategy = ""
        self.slot_holder = ""
        self.group = "default"
        self.attempt = "0f3b3ed5-2f5c-4b8e-9c0f-5a6ad2b7f001"
        self.reports = []
        self.installs = []
        self.words = []
        self.metadata = metadata()
        self.facts = []
        self.asked: Counter[str] = Counter()
        self.url = ""
        self.headers = []
        self.known = set()

    def answer(self, method, path, body, headers):
        """Status, JSON value or bytes, and headers."""
        self.asked[f"{method} /{path.split('/')[1].partition('?')[0]}"] += 1
        if self.is_away:
            return 503, {"kind": "away", "value": "the engine is away"}, {}
        query = parse_qs(urlsplit(path).query)
        if path == "/discovery":
            self.facts.append(json.loads(body))
            return 200, {"new-discovery": len(self.facts) == 1}, {}
        if path.startswith("/scheduler"):
            return 200, {MAC: self.roles} if self.roles else {}, {}
        if path == "/sync-notify":
            return (200, {"sync-notify": 1.0}, {}) if self.is_synced else (503, {}, {})
        if path.startswith("/ignition"):
            assert query["os"] == ["installed"]
            return 200, self.config, {}
        if path.startswith("/metadata"):
            etag = f'"{digest(self.metadata)[:16]}"'
            is_same = headers.get("If-None-Match") == etag
            return (304, b"", {}) if is_same else (200, self.metadata, {"ETag": etag})
        if path.startswith("/ipxe"):
            words = "sanboot --drive 0x80" if self.boots_disk else "kernel http://x/k"
            return 200, f"#!ipxe\n{words}\n".encode(), {}
        return self._lifecycle(path, body, headers)

    def _lifecycle(self, path, body, headers):
        if path.startswith("/install-authorization/"):
            told = headers.get("X-Enjoliver-Attempt")
            if told:
                self.renewed.append(told)
                if self.is_grant_ended:
                    return 409, {"kind": "grant_ended", "value": "this grant ended"}, {}
            elif self.waits_at_gate:
                self.waits_at_gate -= 1
                return 403, b"Locked by another", {"Retry-After": "0"}
            more = {"X-Enjoliver-Grant-Seconds": f"{self.grant_seconds}"}
            return 200, b"Granted", {"X-Enjoliver-Attempt": self.attempt, **more}
        if path.startswith("/lifecycle/coreos-install/"):
            outcome = path.split("/")[3]
            self.installs.append((outcome, headers.get("X-Enjoliver-Attempt")))
            return 200, {"success": outcome == "success"}, {}
        if path.startswith("/lifecycle/progress/"):
            self.words.append({**json.loads(body), "query": path.split("/")[3]})
            return 200, {"message": "Noted"}, {}
        if path.startswith("/lifecycle/ignition/"):
            return self._report(json.loads(body), body)
        if path.startswith("/lifecycle/rolling/"):
            return self._leave()
        if path.startswith("/v1/"):
            return self._slot(path, json.loads(body)["client_params"]["id"], headers)
        return 404, {"kind": "unknown", "value": path}, {}

    def _report(self, document, body):
        sha512 = document.get("sha512") or digest(body)
        if "sha512" not in document:
            self.known.add(sha512)
        self.reports.append(sha512)
        if sha512 == digest(self.config):
            return 200, {"message": "Up-to-date"}, {}
        more = {} if sha512 in self.known else {"send": "full"}
        return 210, {"message": "Outdated", **more}, {}

    def _leave(self):
        if not self.strategy:
            return 403, {"enable": False, "reason": "no strategy"}, {}
        lock = {"url": self.url, "group": self.group, "id": UUID}
        return 200, {"enable": True, "strategy": self.strategy, "lock": lock}, {}

    def _slot(self, path, holder, headers):
        assert headers["fleet-lock-protocol"] == "true"
        if path == "/v1/steady-state":
            self.slot_holder = "" if self.slot_holder == holder else self.slot_holder
            return 200, {}, {}
        if self.slot_holder not in ("", holder):
            return 409, {"kind": "failed_lock_semaphore_full", "value": "all slots are held"}, {}
        if self.group != "default" and not self.strategy and not self.slot_holder:
            return 409, {"kind": "not_now", "value": "the rollout is paused"}, {}
        self.slot_holder = holder
        return 200, {}, {}


@contextmanager
def serving(engine):
    """The engine behind a port of loopback; sets its `url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer("GET")

        def do_POST(self):
            self._answer("POST")

        def _answer(self, method):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value, headers = engine.answer(method, self.path, body, self.headers)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        engine.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()
