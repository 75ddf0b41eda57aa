"""Finds a driver by its name; what a driver needs is imported only then."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from lab.drivers.base import Driver
from lab.errors import LabFailed
from lab.network import Network
from lab.paths import LabPaths
from lab.topology import Topology

LoadDriver = Callable[[LabPaths, Topology, Network], Driver]
_DRIVERS = {
    "nspawn": ("lab.drivers.nspawn", "NspawnDriver"),
    "libvirt": ("lab.drivers.libvirt", "LibvirtDriver"),
}


def load_driver(paths: LabPaths, topology: Topology, network: Network) -> Driver:
    """The driver that the topology names; LabFailed when what it needs is not installed."""
    module, name = _DRIVERS[topology.driver]
    try:
        make = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise LabFailed(
            f"The driver {topology.driver} cannot be loaded ({error}): run `make setup-lab`."
        ) from error
    driver: Driver = make(paths, topology, network)
    return driver
