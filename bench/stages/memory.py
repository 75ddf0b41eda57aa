"""The whole engine as `make run` starts it: how long that takes, and what its processes hold."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from bench.context import Context
from bench.fleets import synced_fleet
from bench.load import Request, get, post, send
from bench.places import ROOT, Place
from bench.processes import (
    JobFailed,
    Memory,
    family_of,
    memories_of,
    memory_of,
    run_job,
    serve,
    stop,
)
from bench.progress import say
from bench.results import Fact, Figure, Spread, StageResult, divide

STARTS = 3
START_SECONDS = 300.0
_POLL_SECONDS = 0.05
_MIB = 1 << 20


def run(context: Context) -> StageResult:
    """Start the engine a few times, then load it once and look at its processes."""
    result = StageResult("memory")
    place, _ = synced_fleet(context.workshop, context.sizes.large_fleet)
    with serve(place, "bare") as bare:
        # The port is open before the first worker is there; an answer comes from a worker.
        wait_for_answer(place, "/livez", time.perf_counter())
        bare_worker = max(one.resident for one in memories_of(bare.children()))
    empty = context.workshop.new("empty")
    (empty.state_dir / "matchbox").mkdir()
    for folder in ("groups", "profiles", "ignition", "generic", "cloud", "assets"):
        (empty.state_dir / "matchbox" / folder).mkdir()
    with serve(empty, "matchbox") as matchbox:
        bare_matchbox = memory_of(matchbox).resident
    _starts(context, result, place)
    _held(context, result, place, bare_worker, bare_matchbox)
    return result


def _starts(context: Context, result: StageResult, place: Place) -> None:
    engine, bare = [], []
    for _ in range(1 if context.sizes.is_quick else STARTS):
        started = time.perf_counter()
        with serve(place, "bare"):
            wait_for_answer(place, "/livez", started)
            bare.append(time.perf_counter() - started)
        started = time.perf_counter()
        with _engine(context, place):
            wait_for_answer(place, "/livez", started)
            engine.append(time.perf_counter() - started)
            wait_for_answer(place, "/healthz", started)
            result.raw.setdefault("healthy after s", []).append(time.perf_counter() - started)
    result.figures.append(
        Figure(
            "the engine answers after its start",
            "gunicorn with an empty Django",
            divide(engine, bare),
            raw={
                "s": Spread.of(engine).median,
                "healthy s": Spread.of(result.raw["healthy after s"]).median,
            },
        )
    )
    say("starts measured")


@contextmanager
def _engine(context: Context, place: Place) -> Iterator[psutil.Process]:
    """`manage.py run` on the place; all of it is gone at the end."""
    often = {"ENJOLIVER_SYNC_INTERVAL_SECONDS": "1"} if context.sizes.is_quick else {}
    with (place.state_dir / "run.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT,
            env=place.environment() | often,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield psutil.Process(child.pid)
    finally:
        stop(child)


def wait_for_answer(place: Place, path: str, started: float) -> bytes:
    """Poll until GET `path` gives 200; returns the body. Raises JobFailed after a while."""
    while time.perf_counter() - started < START_SECONDS:
        connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status == 200:
                return answer.read()
        connection.close()
        time.sleep(_POLL_SECONDS)
    raise JobFailed(f"{path} gave no 200 within {START_SECONDS:.0f} s of the start")


def _held(
    context: Context, result: StageResult, place: Place, bare_worker: int, bare_matchbox: int
) -> None:
    """Memory after a storm, a report of every machine, and two syncs and passes by the worker."""
    fleet = run_job(place, "syncs.export_storm")["machines"]
    started = time.perf_counter()
    with _engine(context, place) as engine:
        wait_for_answer(place, "/healthz", started)
        wrong = _load(context, place, fleet)
        _wait_for_syncs(place, 2)
        groups = group_processes(engine)
        memories = {name: memories_of(some) for name, some in groups.items()}
    result.facts.append(Fact("every request of the load is answered 200", wrong == 0, f"{wrong}"))
    yardsticks = {
        "web": ("worker of an empty Django", bare_worker),
        "worker": ("worker of an empty Django", bare_worker),
        "matchbox": ("matchbox without groups", bare_matchbox),
    }
    for name, (yardstick, resident) in yardsticks.items():
        result.figures.append(_figure(name, memories[name], yardstick, resident, context))
    everything = [one for some in memories.values() for one in some]
    result.raw["resident MiB of all processes"] = sum(m.resident for m in everything) / _MIB
    result.raw["own MiB of all processes"] = sum(m.own for m in everything) / _MIB


def _figure(
    name: str, memories: list[Memory], yardstick: str, resident: int, context: Context
) -> Figure:
    """The largest process of a program; several are told as their number and sum."""
    largest = max(one.resident for one in memories)
    return Figure(
        f"resident memory, {name}, after load of {context.sizes.large_fleet:,} machines",
        yardstick,
        divide([largest], [resident]),
        raw={
            "processes": len(memories),
            "largest MiB": largest / _MIB,
            "all MiB": sum(one.resident for one in memories) / _MIB,
            "own MiB": sum(one.own for one in memories) / _MIB,
            "yardstick MiB": resident / _MIB,
        },
    )


def _load(context: Context, place: Place, fleet: list[list[str]]) -> int:
    """Every machine boots and reports once; returns how many answers were not 200."""

    def requests() -> Iterator[Request]:
        for mac, uuid, sha512, _ in fleet:
            query = f"uuid={uuid}&mac={mac.replace(':', '-')}"
            yield get(f"/ipxe?{query}")
            yield get(f"/ignition?{query}&os=installed")
            body = json.dumps({"sha512": sha512}).encode()
            yield post(f"/lifecycle/ignition/{query}&os=installed", body)

    load = send(
        place.port,
        requests(),
        connections=context.sizes.connections,
        check=lambda _key, status, _body: status == 200,
    )
    return load.refused


def _wait_for_syncs(place: Place, count: int) -> None:
    """Return after the sync gate was renewed `count` times by the worker."""
    seen: set[bytes] = set()
    started = time.perf_counter()
    while len(seen) <= count:
        seen.add(wait_for_answer(place, "/sync-notify", started))
        time.sleep(0.5)


def group_processes(engine: psutil.Process) -> dict[str, list[psutil.Process]]:
    """The processes of a running engine by program, as their command lines tell."""
    groups: dict[str, list[psutil.Process]] = {"run": []}
    for process in family_of(engine):
        with suppress(psutil.NoSuchProcess):
            groups.setdefault(_program(process.cmdline()), []).append(process)
    return groups


def _program(command: list[str]) -> str:
    text = " ".join(command)
    marks = {"gunicorn": "web", "celery": "worker", "-data-path": "matchbox"}
    return next((name for mark, name in marks.items() if mark in text), "run")
