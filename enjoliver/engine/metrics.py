"""Prometheus: the web processes' counters, and the fleet as the database knows it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from django.db import DatabaseError, InterfaceError
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from enjoliver.engine import fleet
from enjoliver.engine.health import age_seconds

logger = logging.getLogger(__name__)
NAMESPACE = "enjoliver_"


def exposition() -> bytes:
    """All metrics in Prometheus' text format; every name starts with `enjoliver_`."""
    registry = CollectorRegistry()
    registry.register(_Processes())
    registry.register(_Domain())
    return generate_latest(registry)


class _Processes(Collector):
    """The counters of all web processes together when they share a directory, else of this one."""

    def collect(self) -> Iterator[Metric]:
        if Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR") or "/nonexistent").is_dir():
            found = multiprocess.MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call]
        else:
            found = REGISTRY.collect()
        # Interpreter and process metrics exist only without sharing: leave them out in both.
        return (metric for metric in found if metric.name.startswith(NAMESPACE))


class _Domain(Collector):
    """What the database says; without a database only that it is away."""

    def collect(self) -> Iterator[Metric]:
        try:
            metrics = list(_domain())
        except (DatabaseError, InterfaceError) as error:
            logger.error("no metrics of the fleet: %s", error)
            metrics = []
        yield _gauge("database_up", "Whether the database answered.", [((), float(bool(metrics)))])
        yield from metrics


Samples = Iterable[tuple[Sequence[str], float | None]]


def _gauge(name: str, meaning: str, samples: Samples, labels: Sequence[str] = ()) -> Metric:
    """A gauge `enjoliver_<name>`; samples without a value are left out."""
    metric = GaugeMetricFamily(NAMESPACE + name, meaning, labels=labels)
    for values, number in samples:
        if number is not None:
            metric.add_metric(list(values), number)
    return metric


def _counts(counted: dict[str, int]) -> Samples:
    return [((name,), float(number)) for name, number in counted.items()]


def _domain() -> Iterator[Metric]:
    yield from _machines()
    yield from _reports()
    yield from _clusters()
    yield from _change()
    beats = fleet.heartbeats()
    yield _gauge(
        "heartbeat_age_seconds",
        "Since a part of the engine last showed life.",
        [((name,), age_seconds(at)) for name, at in sorted(beats.items())],
        ["part"],
    )


def _machines() -> Iterator[Metric]:
    yield _gauge("machines", "Machines by state.", _counts(fleet.machines_by_state()), ["state"])
    yield _gauge(
        "machines_with_role",
        "Machines by cluster and role.",
        [(key, float(number)) for key, number in fleet.machines_by_role().items()],
        ["cluster", "role"],
    )
    yield _gauge(
        "machines_installed",
        "Machines whose install report counted.",
        [((), float(fleet.installed_machines()))],
    )
    yield _gauge(
        "machines_waiting",
        "Machines without a role by reason.",
        _counts(fleet.waiting_by_code()),
        ["code"],
    )
    yield _gauge("conflicts", "Open contradictions.", _counts(fleet.conflicts_by_kind()), ["kind"])
    unknown = fleet.unknown_boots()
    yield _gauge("unknown_boot_macs", "Unknown MACs seen.", [((), float(unknown["macs"]))])
    yield _gauge("unknown_boots", "Boot requests of unknown MACs.", [((), float(unknown["asked"]))])


def _reports() -> Iterator[Metric]:
    found = fleet.reports()
    yield _gauge(
        "machines_reporting",
        "Machines by the verdict on their last config report.",
        [(("up_to_date",), float(found.up_to_date)), (("outdated",), float(found.outdated))],
        ["verdict"],
    )
    yield _gauge(
        "machines_silent",
        f"Installed machines without a report for {fleet.SILENT_SECONDS} s.",
        [((), float(found.silent))],
    )
    yield _gauge(
        "oldest_report_age_seconds",
        "Since the machine reported that is silent for longest.",
        [((), age_seconds(found.oldest_report_at))],
    )


def _clusters() -> Iterator[Metric]:
    found = fleet.clusters()
    synced = [(one["name"], one["sync"]) for one in found if one["sync"]]
    yield _gauge(
        "revision",
        "Number of the newest revision.",
        [((one["name"],), float(one["revision"])) for one in found],
        ["cluster"],
    )
    yield _gauge(
        "sync_problems",
        "What the last sync could not do.",
        [((one["name"],), float(one["problems"])) for one in found],
        ["cluster"],
    )
    yield _gauge(
        "sync_age_seconds",
        "Since a sync last kept the configs good.",
        [((name,), age_seconds(sync.notified_at)) for name, sync in synced],
        ["cluster"],
    )
    yield _gauge(
        "sync_duration_seconds",
        "How long the last sync took.",
        [((name,), float(sync.duration_seconds)) for name, sync in synced],
        ["cluster"],
    )


def _change() -> Iterator[Metric]:
    yield _gauge(
        "installs",
        "Machines at the install gate.",
        _counts(fleet.installs()),
        ["stage"],
    )
    yield _gauge(
        "health_gate_healthy",
        "Whether a health gate of an active rollout lets machines change.",
        [(key, float(is_healthy)) for key, is_healthy in fleet.health_gates().items()],
        ["policy", "gate"],
    )
    groups = fleet.slots()
    yield _gauge(
        "slots",
        "Update slots.",
        [((name,), float(number)) for name, number, _, _ in groups],
        ["group"],
    )
    yield _gauge(
        "slots_held",
        "Update slots held.",
        [((name,), float(held)) for name, _, held, _ in groups],
        ["group"],
    )
    yield _gauge(
        "oldest_slot_age_seconds",
        "Since the slot was taken that is held for longest.",
        [((name,), age_seconds(oldest)) for name, _, _, oldest in groups],
        ["group"],
    )
