"""The private matchbox: it renders each config exactly as the public one will."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from django.conf import settings

from matchbox_sync.compose import ComposedProfile
from matchbox_sync.scratch import DoesNotStart, ScratchProcess

LANES = 2
"""Requests under way at once. matchbox reads all group files at every request, so each lane keeps
only the one file there that it asks for."""

REQUEST_SECONDS = 20.0
_PROFILE = "scratch"
_TEMPLATE = "template.yaml"


@dataclass(frozen=True, slots=True)
class ScratchGroup:
    """One group to render; `mac` None is a group without selector (discovery)."""

    key: str
    mac: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What matchbox answered: /ignition, the text before Butane (/generic), and /ipxe."""

    ignition: bytes
    butane: bytes
    ipxe: bytes


@dataclass(frozen=True, slots=True)
class RenderFailure:
    """Why there is no answer; `message` carries matchbox's log line where there is one."""

    stage: str
    message: str


class _Refused(Exception):
    """matchbox answered, but with no config."""


_TROUBLE = (OSError, http.client.HTTPException, DoesNotStart, _Refused)
"""What may go wrong on the way; it is tried again before anybody hears of it."""


class PrivateMatchbox:
    """Context manager; the process starts at the first render and dies with its parent.

    The thread that renders first must live as long as the context.
    """

    def __init__(self, program: str | Path = "") -> None:
        self._program = str(program or settings.MATCHBOX_BIN)
        self._process: ScratchProcess | None = None
        self._starts_left = 0
        self._last_words = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int | None:
        """The id of the process, None before the first render."""
        return self._process.pid if self._process else None

    def render(
        self, profile: ComposedProfile, groups: Sequence[ScratchGroup]
    ) -> dict[str, Rendered | RenderFailure]:
        """Render `groups` under `profile`; the answers by group key. Never raises for a group.

        A process that died is started again once; what fails then is a RenderFailure.
        """
        self._starts_left = 2
        answers: dict[str, Rendered | RenderFailure] = {}
        for group in groups:
            reason = _missing_keys(profile, group)
            if reason:
                answers[group.key] = RenderFailure("render", reason)
        askable = [group for group in groups if group.key not in answers]
        answers |= self._in_lanes(profile, askable)
        # What failed is asked again, alone: the process may have died, and what the log says now
        # is about this group.
        for group in askable:
            if group.key not in answers:
                answers[group.key] = self._explain(profile, group)
        return answers

    def _in_lanes(
        self, profile: ComposedProfile, groups: Sequence[ScratchGroup]
    ) -> dict[str, Rendered | RenderFailure]:
        """Render in parallel; a group that fails is left out."""
        if not groups:
            return {}
        try:
            ipxe = self._prepare(profile)
            process = self._running()
        except _TROUBLE:
            return {}
        # Groups that would answer each other's requests must not be there at the same time.
        macs = {group.mac for group in groups}
        count = LANES if len(macs) == len(groups) and None not in macs else 1
        lanes = [_Lane(process, number, ipxe) for number in range(count)]
        with ThreadPoolExecutor(count) as pool:
            parts = pool.map(lambda lane: lane.render(groups[lane.number :: count]), lanes)
            return {key: rendered for part in parts for key, rendered in part.items()}

    def _explain(self, profile: ComposedProfile, group: ScratchGroup) -> Rendered | RenderFailure:
        """Render one group alone, with a second try, and say why when it fails."""
        trouble: Exception | None = None
        for _ in range(2):
            try:
                return self._ask_alone(profile, group)
            except _TROUBLE as error:
                trouble = error
                self._stop()  # whatever it is, a new process on a new directory may be free of it
        return RenderFailure("render", f"the private matchbox gives no answer: {trouble}")

    def _ask_alone(self, profile: ComposedProfile, group: ScratchGroup) -> Rendered | RenderFailure:
        ipxe = self._prepare(profile)
        process = self._running()
        place = process.log_size()
        with _Lane(process, 0, ipxe) as lane:
            try:
                return lane.ask(group)
            except _Refused as error:
                return RenderFailure("render", _reason(process.logged_since(place), error))

    # --- the process ----------------------------------------------------------------------------

    def _running(self) -> ScratchProcess:
        """The process, started or started again if need be; raises DoesNotStart."""
        if self._process is not None and self._process.is_alive:
            return self._process
        self._stop()
        if not self._starts_left:
            raise DoesNotStart(self._last_words)
        self._starts_left -= 1
        try:
            self._process = ScratchProcess(self._program, settings.STATE_DIR / "scratch")
        except DoesNotStart as error:
            self._last_words = str(error)
            raise
        self._last_words = "it died twice"
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _prepare(self, profile: ComposedProfile) -> bytes:
        """Put the profile there and return its iPXE script."""
        process = self._running()
        process.put(f"ignition/{_TEMPLATE}", profile.template)
        process.put(f"generic/{_TEMPLATE}", profile.template)
        document = {
            "id": _PROFILE,
            "boot": profile.boot.as_json(),
            "ignition_id": _TEMPLATE,
            "generic_id": _TEMPLATE,
        }
        process.put(f"profiles/{_PROFILE}.json", json.dumps(document))
        with _Lane(process, 0, b"") as lane:
            return lane.ask_script()


class _Lane:
    """One connection, and the one group file that it asks for. A context manager."""

    def __init__(self, process: ScratchProcess, number: int, ipxe: bytes) -> None:
        self.number = number
        self._process = process
        self._ipxe = ipxe
        self._file = f"groups/lane-{number}.json"
        self._connection = process.connect(REQUEST_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()
        self._process.drop(self._file)

    def render(self, groups: Sequence[ScratchGroup]) -> dict[str, Rendered | RenderFailure]:
        """Render one group after the other; what fails is left out, and all after a crash."""
        answers: dict[str, Rendered | RenderFailure] = {}
        with self:
            for group in groups:
                try:
                    answers[group.key] = self.ask(group)
                except _Refused:
                    continue
                except _TROUBLE:
                    break
        return answers

    def ask(self, group: ScratchGroup) -> Rendered:
        """Render one group; raises _Refused, OSError or HTTPException."""
        selector = {"mac": group.mac, "os": "installed"} if group.mac else {}
        self._put_group(selector, group.metadata)
        query = f"?mac={group.mac}&os=installed" if group.mac else ""
        ignition = self._get(f"/ignition{query}")
        return Rendered(ignition, self._get(f"/generic{query}"), self._ipxe)

    def ask_script(self) -> bytes:
        """The profile's iPXE script, which no metadata changes."""
        self._put_group({}, {})
        return self._get("/ipxe")

    def _put_group(self, selector: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
        group = {"id": "x", "profile": _PROFILE, "selector": selector, "metadata": metadata}
        self._process.put(self._file, json.dumps(group))

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise _Refused(f"matchbox answers {answer.status} to {path.partition('?')[0]}")
        return body


def _reason(logged: str, error: _Refused) -> str:
    if logged.endswith(":"):  # Butane gives no reason for what it cannot read at all
        return f"{logged} the rendered text is no YAML"
    return logged or f"{error}, and logs no reason"


def _missing_keys(profile: ComposedProfile, group: ScratchGroup) -> str:
    """Why the metadata does not serve the template, "" when it does."""
    for key in sorted(profile.marks):
        value: Any = group.metadata
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return f"{{{{ .{key} }}}}: the machine's metadata has no such key"
        if not isinstance(value, (str, bool)):
            return f"{{{{ .{key} }}}}: only text and booleans can be filled in, not {value!r}"
    return ""
