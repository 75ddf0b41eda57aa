"""Boot storm: every machine asks once, through the engine; a sample asks matchbox itself."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import psutil

from bench.context import Context
from bench.fleets import synced_fleet
from bench.load import Load, Request, get, send
from bench.processes import cpu_seconds, family_of, run_job, serve
from bench.progress import say
from bench.results import Fact, Figure, Spread, StageResult, at_least, divide

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Asker:
    """One machine of the storm with the digest of its config."""

    mac: str
    uuid: str
    sha512: str
    profile: str

    @property
    def query(self) -> str:
        """As the script behind /boot.ipxe writes it."""
        return f"uuid={self.uuid}&mac={self.mac.replace(':', '-')}"


class Answers:
    """The right answers by key of the request, and how many were wrong."""

    def __init__(self, scripts: dict[str, str]) -> None:
        self._scripts = {profile: text.encode() for profile, text in scripts.items()}
        self._expected: dict[int, tuple[str, bytes | str]] = {}

    def script(self, path: str, profile: str) -> Request:
        """A request whose answer is the script of `profile`."""
        return self._request(path, ("bytes", self._scripts[profile]))

    def document(self, path: str, sha512: str) -> Request:
        """A request whose answer has this digest."""
        return self._request(path, ("sha512", sha512))

    def _request(self, path: str, expected: tuple[str, bytes | str]) -> Request:
        key = len(self._expected)
        self._expected[key] = expected
        return get(path, key=key)

    def check(self, key: int, status: int, body: bytes) -> bool:
        """Whether `body` is what was verified, byte for byte."""
        kind, wanted = self._expected[key]
        found: bytes | str = body if kind == "bytes" else hashlib.sha512(body).hexdigest()
        return status == 200 and found == wanted


@dataclass(slots=True)
class Side:
    """A server that is asked, and what came of it in each turn."""

    port: int
    process: psutil.Process
    loads: list[Load] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def ask(self, requests: Iterable[Request], answers: Answers, connections: int) -> None:
        """One turn."""
        family = family_of(self.process)
        before = cpu_seconds(family)
        self.loads.append(send(self.port, requests, connections=connections, check=answers.check))
        self.cpu_seconds.append(cpu_seconds(family) - before)

    @property
    def count(self) -> int:
        return sum(load.count for load in self.loads)

    @property
    def refused(self) -> int:
        return sum(load.refused for load in self.loads)

    @property
    def cpu_ms(self) -> float:
        """CPU time of one answer in milliseconds."""
        return 1000 * sum(self.cpu_seconds) / max(1, self.count)


def run(context: Context) -> StageResult:
    """In turns: a part of the fleet through the engine, a part of the sample at matchbox."""
    result = StageResult("storm")
    place, _ = synced_fleet(context.workshop, context.sizes.large_fleet)
    fleet = run_job(place, "syncs.export_storm")
    askers = [Asker(*row) for row in fleet["machines"]]
    random.Random(11).shuffle(askers)
    sample = pick_sample(askers, context.sizes.storm_sample)
    answers = Answers(fleet["scripts"])
    with serve(place, "web") as web, serve(place, "matchbox") as matchbox:
        engine, direct = Side(place.port, web), Side(place.matchbox_port, matchbox)
        parts = min(ROUNDS, len(sample))
        for number in range(parts):
            for side, machines in ((engine, askers), (direct, sample)):
                requests = boots(machines[number::parts], answers)
                side.ask(requests, answers, context.sizes.connections)
            say(f"boot storm: part {number + 1} of {parts}")
        _conclude(result, engine, direct, len(askers), len(sample))
        for side, name in ((engine, "the engine"), (direct, "matchbox")):
            side.ask(installers(sample, answers), answers, context.sizes.connections)
            refused = side.loads[-1].refused
            result.facts.append(
                Fact(
                    f"{name} answers the sample's role scripts (os=installed) byte for byte",
                    refused == 0 and side.loads[-1].count == len(sample),
                    f"{refused} of {len(sample)} wrong",
                )
            )
    return result


def pick_sample(askers: Sequence[Asker], count: int) -> list[Asker]:
    """The first `count` machines, but one of each profile at least."""
    first_of = {asker.profile: asker for asker in reversed(askers)}
    rest = [asker for asker in askers if asker not in first_of.values()]
    return [*first_of.values(), *rest][:count]


def boots(machines: Iterable[Asker], answers: Answers) -> Iterator[Request]:
    """What each machine asks while it boots without an installed system."""
    for one in machines:
        yield answers.script(f"/ipxe?{one.query}", "discovery")
        yield answers.document(f"/ignition?{one.query}&os=installed", one.sha512)


def installers(machines: Iterable[Asker], answers: Answers) -> Iterator[Request]:
    """What the installer and kexec ask for kernel and arguments."""
    for one in machines:
        yield answers.script(f"/ipxe?{one.query}&os=installed", one.profile)


def _conclude(result: StageResult, engine: Side, direct: Side, machines: int, sampled: int) -> None:
    seconds = sum(load.seconds for load in engine.loads)
    result.figures.append(
        Figure(
            f"boot storm of {machines:,} machines",
            f"{sampled} of them straight at matchbox",
            divide([load.rate for load in engine.loads], [load.rate for load in direct.loads]),
            at_least(10),
            {
                "requests/s": Spread.of([load.rate for load in engine.loads]).median,
                "matchbox/s": Spread.of([load.rate for load in direct.loads]).median,
                "whole storm s": seconds,
                "ms CPU": engine.cpu_ms,
                "matchbox ms CPU": direct.cpu_ms,
                "p99 ms": 1000 * max(load.latency(0.99) for load in engine.loads),
                "bytes": sum(load.bytes_received for load in engine.loads) / engine.count,
            },
        )
    )
    for side, name, asked in ((engine, "the engine", machines), (direct, "matchbox", sampled)):
        result.facts.append(
            Fact(
                f"{name} answers the bytes that were verified",
                side.refused == 0 and side.count == 2 * asked,
                f"{side.refused} of {side.count:,} wrong",
            )
        )
