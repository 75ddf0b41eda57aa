"""Virtual machines: firmware, network boot and disks as on metal, kept by libvirt."""

from lab.drivers.libvirt.driver import LibvirtDriver

__all__ = ["LibvirtDriver"]
