"""A small fake of the engine's machine-facing contract, with ways to break it on purpose."""

import base64
import gzip
import hashlib
import json
import logging
import uuid
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.test_utils import TestServer

logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
CONTROL_PLANE = ["etcd-member", "kubernetes-control-plane"]
NODE = ["kubernetes-node"]


def ignition_document(files, version="3.4.0"):
    """An Ignition document with these files; every second one gzipped, as Butane does."""
    entries = []
    for at, (path, text) in enumerate(files.items()):
        data = text.encode()
        contents = {"source": "data:," + text.replace("%", "%25").replace("\n", "%0A")}
        if at % 2:
            packed = base64.b64encode(gzip.compress(data, mtime=0)).decode()
            contents = {"source": f"data:;base64,{packed}", "compression": "gzip"}
        entries.append({"path": path, "contents": contents})
    return json.dumps({"ignition": {"version": version}, "storage": {"files": entries}}).encode()


def mac_of(query):
    return parse_qs(query)["mac"][0].replace("-", ":")


class FakeEngine:
    """State and routes. `breaks` names what it does wrong."""

    def __init__(self, control_plane=3, breaks=(), needed=None):
        self.control_plane, self.breaks = control_plane, set(breaks)
        self.needed = control_plane if needed is None else needed
        self.url, self.ntp = "", "ntp-a"
        self.facts, self.roles, self.strategies = {}, {}, {}
        self.attempts, self.installed, self.fails = {}, set(), []
        self.gate, self.slot = None, None
        self.requests, self.slot_refusals = [], 0
        self.grant_seconds, self.renewed, self.words = 1800, [], {}

    # --- rules -----------------------------------------------------------------------------
    def place(self):
        uuids = [facts["boot-info"]["uuid"] for facts in self.facts.values()]
        free = sorted(
            mac
            for mac, facts in self.facts.items()
            if mac not in self.roles
            and ("twins" in self.breaks or uuids.count(facts["boot-info"]["uuid"]) == 1)
        )
        members = [mac for mac, roles in self.roles.items() if roles == CONTROL_PLANE]
        is_time = len(free) >= self.control_plane and len(self.facts) >= self.needed
        if not members and is_time:
            for mac in free[: self.control_plane]:
                self.roles[mac] = CONTROL_PLANE
            free = free[self.control_plane :]
        if members or self.roles:
            for mac in free:
                self.roles[mac] = NODE

    def config(self, mac):
        if mac not in self.roles or "always-discovery" in self.breaks:
            return self.discovery_config()
        subject = mac
        if "neighbour" in self.breaks:
            subject = next((other for other in self.roles if other != mac), mac)
        facts = self.facts[subject]["boot-info"]
        roles = ",".join(self.roles[subject])
        values = {
            "ENJOLIVER_UUID": facts["uuid"],
            "ENJOLIVER_BOOT_MAC": facts["mac"],
            "ENJOLIVER_ROLES": roles,
        }
        files = {
            "/etc/enjoliver/role": roles + "\n",
            "/etc/enjoliver/environment": _lines(values),
            "/etc/metadata-endpoints.env": _lines({"ENJOLIVER_API_URI": self.url}),
            "/etc/ntp": self.ntp,
        }
        return ignition_document(files)

    def discovery_config(self):
        endpoints = _lines({"ENJOLIVER_API_URI": self.url})
        files = {"/etc/enjoliver/discovery": "yes\n", "/etc/metadata-endpoints.env": endpoints}
        return ignition_document(files)

    # --- routes ----------------------------------------------------------------------------
    async def boot(self, request):
        return web.Response(
            text="#!ipxe\necho start\n:retry_dhcp\ndhcp || goto retry_dhcp\n"
            f"chain {self.url}/ipxe?uuid=${{uuid}}&mac=${{net0/mac:hexhyp}}&domain=${{domain}}"
            "&hostname=${hostname}&serial=${serial}\n"
        )

    async def ipxe(self, request):
        mac = mac_of(request.query_string)
        installed = "&os=installed" if request.query.get("os") == "installed" else ""
        if mac in self.installed and not installed and "install-loop" not in self.breaks:
            return web.Response(text="#!ipxe\nsanboot --no-describe --drive 0x80 || exit 1\n")
        name = "ignition" if installed else "ignition-pxe"
        url = f"{self.url}/{name}?uuid=${{uuid}}&mac=${{net0/mac:hexhyp}}{installed}"
        return web.Response(
            text=f"#!ipxe\nkernel {self.url}/assets/vmlinuz console=ttyS0 "
            f"ignition.config.url={url}\ninitrd {self.url}/assets/initrd\nboot\n"
        )

    async def ignition(self, request):
        if "broken-config" in self.breaks:
            return web.Response(text='{"ignition": {"version"')
        return web.Response(body=self.config(mac_of(request.query_string)))

    async def ignition_pxe(self, request):
        return web.Response(body=self.discovery_config())

    async def discovery(self, request):
        facts = await request.json()
        mac = facts["boot-info"]["mac"]
        is_new = mac not in self.facts
        self.facts[mac] = facts
        self.place()
        return web.json_response({"new-discovery": is_new})

    async def scheduler(self, request):
        mac = request.query["mac"]
        return web.json_response({mac: self.roles[mac]} if mac in self.roles else {})

    async def sync_notify(self, request):
        return web.json_response({"sync-notify": 1.0})

    async def gate_route(self, request):
        mac = mac_of(request.match_info["query"])
        if told := request.headers.get("X-Enjoliver-Attempt"):
            self.renewed.append(told)
            is_open = self.gate == mac and self.attempts.get(mac) == told
            return web.Response(status=200 if is_open else 409)
        if self.gate not in (None, mac):
            return web.Response(
                status=403, text=f"Locked by {self.gate}", headers={"Retry-After": "1"}
            )
        self.gate = mac
        attempt = self.attempts[mac] = str(uuid.uuid4())
        more = {"X-Enjoliver-Grant-Seconds": str(self.grant_seconds)}
        return web.Response(text="Granted", headers={"X-Enjoliver-Attempt": attempt, **more})

    async def install_report(self, request):
        mac = mac_of(request.match_info["query"])
        success = request.match_info["outcome"] == "success"
        if request.headers.get("X-Enjoliver-Attempt") == self.attempts.get(mac):
            self.gate = None if self.gate == mac else self.gate
            if success:
                self.installed.add(mac)
            else:
                self.fails.append(mac)
        return web.json_response({"success": success, "request_raw_query": "…"})

    async def metadata(self, request):
        return web.Response(text="HOSTNAME=x\nMEMBERS=a,b\n")

    async def config_report(self, request):
        mac = mac_of(request.match_info["query"])
        body = await request.read()
        wanted = hashlib.sha512(self.config(mac)).hexdigest()
        told = json.loads(body).get("sha512") or hashlib.sha512(body).hexdigest()
        if told == wanted:
            return web.json_response({"message": "Up-to-date"})
        answer = {"message": "Outdated"} | ({"send": "full"} if len(body) < 200 else {})
        return web.json_response(answer, status=210)

    async def progress(self, request):
        if "deaf" in self.breaks:
            return web.Response(status=503, text="not now")
        mac, word = mac_of(request.match_info["query"]), await request.json()
        self.words.setdefault(mac, []).append((word["verb"], word["step"]))
        return web.json_response({"message": "Noted"})

    async def rolling(self, request):
        query = request.match_info["query"]
        strategy = self.strategies.get(mac_of(query))
        if strategy is None:
            return web.json_response({"enable": False, "strategy": None}, status=401)
        lock = {"url": self.url, "group": "default", "id": mac_of(query)}
        return web.json_response({"enable": True, "strategy": strategy, "lock": lock})

    async def set_rolling(self, request):
        if request.headers.get("Authorization") != "Basic YWRtaW46c2VjcmV0":
            return web.json_response({"kind": "not_authenticated", "value": "who?"}, status=401)
        mac = mac_of(request.match_info["query"])
        self.strategies[mac] = (await request.json())["strategy"]
        return web.json_response({"enable": True, "strategy": self.strategies[mac]})

    async def drop_rolling(self, request):
        self.strategies.pop(mac_of(request.match_info["query"]), None)
        return web.json_response({"enable": False})

    async def lock(self, request):
        holder = (await request.json())["client_params"]["id"]
        assert request.headers["fleet-lock-protocol"] == "true"
        if "no-group" in self.breaks:
            self.slot_refusals += 1
            document = {"kind": "unknown_group", "value": "there is no group default"}
            return web.json_response(document, status=400)
        if self.slot not in (None, holder) and "two-slots" not in self.breaks:
            self.slot_refusals += 1
            document = {"kind": "failed_lock_semaphore_full", "value": "no slot"}
            return web.json_response(document, status=409)
        self.slot = holder
        return web.Response()

    async def unlock(self, request):
        holder = (await request.json())["client_params"]["id"]
        if "loses-releases" in self.breaks:
            return web.Response(status=503, text="not now")
        self.slot = None if self.slot == holder else self.slot
        return web.Response()

    # --- wiring ----------------------------------------------------------------------------
    @web.middleware
    async def watch(self, request, handler):
        self.requests.append((request.method, request.path))
        if "away" in self.breaks:
            return web.Response(status=503, text="away")
        if "bug" in self.breaks and request.path == "/discovery":
            return web.Response(status=500, text="bug")
        return await handler(request)

    def app(self):
        app = web.Application(middlewares=[self.watch])
        app.router.add_get("/boot.ipxe", self.boot)
        app.router.add_get("/ipxe", self.ipxe)
        app.router.add_get("/ignition", self.ignition)
        app.router.add_get("/ignition-pxe", self.ignition_pxe)
        app.router.add_post("/discovery", self.discovery)
        app.router.add_get("/scheduler", self.scheduler)
        app.router.add_get("/sync-notify", self.sync_notify)
        app.router.add_get("/metadata", self.metadata)
        app.router.add_get("/install-authorization/{query}", self.gate_route)
        app.router.add_post("/lifecycle/coreos-install/{outcome}/{query}", self.install_report)
        app.router.add_post("/lifecycle/ignition/{query}", self.config_report)
        app.router.add_post("/lifecycle/progress/{query}", self.progress)
        app.router.add_get("/lifecycle/rolling/{query}", self.rolling)
        app.router.add_post("/lifecycle/rolling/{query}", self.set_rolling)
        app.router.add_delete("/lifecycle/rolling/{query}", self.drop_rolling)
        app.router.add_post("/v1/pre-reboot", self.lock)
        app.router.add_post("/v1/steady-state", self.unlock)
        return app

    @asynccontextmanager
    async def serve(self):
        """Listen on a free port for the time of the block."""
        async with TestServer(self.app()) as server:
            self.url = str(server.make_url("/")).rstrip("/")
            yield self


def _lines(values):
    return "".join(f'{name}="{value}"\n' for name, value in values.items())
