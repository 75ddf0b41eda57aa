"""Machines as systemd-nspawn containers: real systemd and Ignition; the driver is the firmware."""

from lab.drivers.nspawn.driver import NspawnDriver

__all__ = ["NspawnDriver"]
