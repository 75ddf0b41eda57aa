"""libvirt as the driver sees it: domains by name, defined, started, stopped, removed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.drivers.base import DriverFailed
from lab.drivers.libvirt.daemon import Daemon
from lab.errors import LabFailed
from lab.wait import until

_OFF_SECONDS = 600.0
"""An emulated machine takes a minute to shut down in order."""


def load_libvirt() -> Any:
    """libvirt's Python package; DriverFailed tells how to get it."""
    try:
        return importlib.import_module("libvirt")
    except ImportError as error:
        raise DriverFailed(
            f"libvirt's Python package is not there ({error}): run `make setup-lab-vm`."
        ) from error


class Hypervisor:
    """The domains of one lab, kept by the lab's own libvirtd. Methods raise DriverFailed."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._connection: Any = None

    def define(self, xml: str) -> None:
        """Make a domain, or change it: then what runs changes at its next start."""
        with self._libvirt() as connection:
            connection.defineXML(xml)

    def start(self, name: str) -> None:
        """Switch a domain on; nothing when it is on."""
        with self._libvirt() as connection:
            domain = connection.lookupByName(name)
            if not domain.isActive():
                domain.create()

    def stop(self, name: str, *, is_hard: bool) -> None:
        """Press the power button and wait, or pull the plug; nothing when it is off."""
        with self._libvirt() as connection:
            domain = _find(connection, name)
            if domain is None or not domain.isActive():
                return
            if is_hard:
                domain.destroy()
                return
            domain.shutdown()
            until(
                lambda: not domain.isActive(),
                seconds=_OFF_SECONDS,
                what=f"{name} switching itself off",
                every=1.0,
            )

    def remove(self, name: str) -> None:
        """Pull the plug and forget the domain; nothing when there is none."""
        with self._libvirt() as connection:
            domain = _find(connection, name)
            if domain is None:
                return
            if domain.isActive():
                domain.destroy()
            domain.undefine()

    def is_on(self, name: str) -> bool | None:
        """Whether it runs; None when there is no such domain."""
        with self._libvirt() as connection:
            domain = _find(connection, name)
            return None if domain is None else bool(domain.isActive())

    def close(self) -> None:
        """Leave libvirtd; the next call comes back."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def _libvirt(self) -> Iterator[Any]:
        """A connection to a libvirtd that runs; its errors in our words."""
        libvirt = load_libvirt()
        try:
            yield self._connect(libvirt)
        except libvirt.libvirtError as error:
            raise DriverFailed(f"libvirt: {error} (log: {self._daemon.log})") from error
        except LabFailed as error:
            raise DriverFailed(str(error)) from error

    def _connect(self, libvirt: Any) -> Any:
        if self._connection is None or not self._connection.isAlive():
            # Its errors come as exceptions; without this it prints them too.
            libvirt.registerErrorHandler(lambda *_: None, None)
            self._daemon.start()
            self._connection = libvirt.open(self._daemon.uri)
        return self._connection


def _find(connection: Any, name: str) -> Any:
    """The domain of this name, or None; without libvirt's exception for "no such domain"."""
    return next((one for one in connection.listAllDomains() if one.name() == name), None)
