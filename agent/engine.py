"""The engine's routes, as the agent uses them; what each answer means stands in agent/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.client import Answer, Client

ATTEMPT_HEADER = "X-Enjoliver-Attempt"
GRANT_HEADER = "X-Enjoliver-Grant-Seconds"
STRATEGIES = ("kexec", "reboot", "poweroff")
FREE_GROUP = "default"
"""The one group of the engine that asks nobody."""
_NO_SLOT_THERE = ("unknown_group", "other_authority")
"""The engine's words for a slot that cannot be held there: the group, or its part in it, went."""
OUTDATED = 210
NOT_MODIFIED = 304


class NotNow(Exception):
    """The engine answered, and the answer is "wait" or "no"; the text says why."""

    def __init__(self, words: str, *, retry_after: float = 0.0, status: int = 0) -> None:
        super().__init__(words)
        self.retry_after, self.status = retry_after, status


@dataclass(frozen=True, slots=True)
class Lock:
    """A FleetLock server, and the group and id to take the slot with."""

    url: str
    group: str
    id: str

    @classmethod
    def read(cls, document: Any) -> Lock | None:
        """The lock in a JSON object; None when one of its parts is missing."""
        if not isinstance(document, Mapping):
            return None
        parts = [document.get(key) for key in ("url", "group", "id")]
        texts = [part for part in parts if isinstance(part, str) and part]
        return cls(texts[0].rstrip("/"), texts[1], texts[2]) if len(texts) == 3 else None

    def as_dict(self) -> dict[str, str]:
        """For the state file."""
        return {"url": self.url, "group": self.group, "id": self.id}


@dataclass(frozen=True, slots=True)
class Leave:
    """The engine lets this machine change: how, and which slot to take first."""

    strategy: str
    lock: Lock


@dataclass(frozen=True, slots=True)
class Grant:
    """A place at the install gate: the attempt's id, and the silence allowed in seconds.

    "" and 0 are what the engine did not tell.
    """

    attempt: str
    seconds: float = 0.0


class Engine:
    """One engine. Every method raises Unreachable when no answer came."""

    def __init__(self, client: Client, api: str) -> None:
        self._client, self.api = client, api

    def send_facts(self, document: Mapping[str, Any]) -> bool:
        """Post the facts; True when the machine was new. Raises NotNow when they are refused."""
        answer = self._client.post(f"{self.api}/discovery", document)
        if answer.status != 200:
            raise _not_now("its facts were refused", answer)
        return bool(answer.document().get("new-discovery"))

    def read_roles(self, mac: str) -> tuple[str, ...]:
        """The roles that the scheduler gave; none yet is an empty tuple."""
        answer = self._client.get(f"{self.api}/scheduler?mac={mac.replace(':', '-')}")
        if answer.status != 200:
            raise _not_now("its role is not known", answer)
        roles = answer.document().get(mac)
        return tuple(str(role) for role in roles) if isinstance(roles, list) else ()

    def check_synced(self) -> None:
        """Raises NotNow while the configs are not in step with the roles."""
        answer = self._client.get(f"{self.api}/sync-notify")
        if answer.status != 200:
            raise NotNow("the engine has not finished its sync", retry_after=_seconds(answer))

    def fetch_config(self, query: str) -> bytes:
        """The config as served, to be kept byte for byte; raises NotNow."""
        answer = self._client.get(f"{self.api}/ignition?{query}")
        if answer.status != 200:
            raise _not_now("there is no config for now", answer)
        return answer.body

    def fetch_metadata(self, query: str, etag: str = "") -> tuple[str | None, str]:
        """The machine's values and their ETag; None when they are still those of `etag`.

        Raises NotNow.
        """
        headers = {"If-None-Match": etag} if etag else {}
        answer = self._client.send("GET", f"{self.api}/metadata?{query}", headers=headers)
        if answer.status == NOT_MODIFIED and etag:
            return None, etag
        if answer.status != 200:
            raise _not_now("the membership is not known", answer)
        return answer.body.decode("utf-8", "replace"), answer.headers.get("etag", "")

    def boots_its_disk(self, uuid: str, mac: str) -> bool:
        """True when the engine would send this machine to its disk: installed, no reinstall."""
        query = f"uuid={uuid}&mac={mac.replace(':', '-')}"
        answer = self._client.get(f"{self.api}/ipxe?{query}")
        if answer.status != 200 or not answer.body.startswith(b"#!ipxe"):
            raise _not_now("whether it shall be installed again is not known", answer)
        return b"sanboot" in answer.body and b"\nkernel" not in answer.body

    def ask_gate(self, query: str) -> Grant:
        """Pass the install gate. Raises NotNow with the time to wait."""
        answer = self._client.get(f"{self.api}/install-authorization/{query}")
        if answer.status != 200:
            raise _not_now("it waits at the install gate", answer)
        seconds = _number(answer.headers.get(GRANT_HEADER.lower(), ""))
        return Grant(answer.headers.get(ATTEMPT_HEADER.lower(), ""), seconds)

    def renew_grant(self, query: str, attempt: str) -> None:
        """Say that the install of this attempt goes on; raises NotNow when the grant ended."""
        url = f"{self.api}/install-authorization/{query}"
        answer = self._client.send("GET", url, headers={ATTEMPT_HEADER: attempt})
        if answer.status != 200:
            raise _not_now("its place at the install gate was not kept", answer)

    def report_install(self, outcome: str, query: str, attempt: str) -> None:
        """Say how the install ended: "success" or "fail". Raises NotNow when it was not taken."""
        url = f"{self.api}/lifecycle/coreos-install/{outcome}/{query}"
        headers = {ATTEMPT_HEADER: attempt} if attempt else {}
        answer = self._client.post(url, **headers)
        if answer.status != 200:
            raise _not_now("its install report was refused", answer)

    def report_digest(self, query: str, sha512: str) -> tuple[bool, bool]:
        """Report by digest: (is it up to date, is the whole document wanted)."""
        return self._report(self._client.post(self._report_url(query), {"sha512": sha512}))

    def report_document(self, query: str, document: bytes) -> tuple[bool, bool]:
        """Report the whole running config, as `report_digest`."""
        return self._report(self._client.post_bytes(self._report_url(query), document))

    def _report_url(self, query: str) -> str:
        return f"{self.api}/lifecycle/ignition/{query}"

    @staticmethod
    def _report(answer: Answer) -> tuple[bool, bool]:
        if answer.status not in (200, OUTDATED):
            raise _not_now("its report was refused", answer)
        return answer.status == 200, answer.document().get("send") == "full"

    def send_progress(self, query: str, document: Mapping[str, str]) -> None:
        """Say what the agent does or waits for; raises NotNow when the engine does not take it."""
        answer = self._client.post(f"{self.api}/lifecycle/progress/{query}", document)
        if answer.status != 200:
            raise _not_now("its word was not taken", answer)

    def ask_leave(self, query: str) -> Leave:
        """May this machine change now, and how; raises NotNow with the engine's reason."""
        answer = self._client.get(f"{self.api}/lifecycle/rolling/{query}")
        if answer.status != 200:
            raise _not_now("it is outdated and may not update now", answer)
        document = answer.document()
        strategy, lock = document.get("strategy"), Lock.read(document.get("lock"))
        if strategy not in STRATEGIES or lock is None:
            raise NotNow("it was granted something that this agent does not know")
        return Leave(str(strategy), lock)

    def take_slot(self, lock: Lock) -> None:
        """FleetLock's pre-reboot; raises NotNow while others hold all slots."""
        answer = self._fleetlock(lock, "pre-reboot")
        if answer.status != 200:
            raise _not_now(f"it waits for a slot of group {lock.group}", answer)

    def asks_leave_for(self, lock: Lock) -> bool:
        """True for a policy's group of this engine: it gives no slot to a machine without leave."""
        return lock.url == self.api and lock.group != FREE_GROUP

    def give_slot_back(self, lock: Lock) -> None:
        """FleetLock's steady-state; fine when no slot is held. Raises NotNow."""
        answer = self._fleetlock(lock, "steady-state")
        is_nowhere = 400 <= answer.status < 500 and answer.document().get("kind") in _NO_SLOT_THERE
        if answer.status != 200 and not is_nowhere:
            raise _not_now(f"the slot of group {lock.group} was not taken back", answer)

    def _fleetlock(self, lock: Lock, verb: str) -> Answer:
        body = {"client_params": {"id": lock.id, "group": lock.group}}
        return self._client.post(f"{lock.url}/v1/{verb}", body, fleet_lock_protocol="true")


def _not_now(words: str, answer: Answer) -> NotNow:
    sentence = f"{words} ({answer.sentence()})"
    return NotNow(sentence, retry_after=_seconds(answer), status=answer.status)


def _seconds(answer: Answer) -> float:
    return _number(answer.headers.get("retry-after", ""))


def _number(text: str) -> float:
    text = text.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0
