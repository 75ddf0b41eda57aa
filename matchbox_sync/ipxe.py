"""The two iPXE scripts that the engine answers itself; all others are matchbox's.

Commands: https://ipxe.org/cmd
"""

from __future__ import annotations

DISK_BOOT_SCRIPT = """#!ipxe
echo Enjoliver: this machine is installed, booting from its disk
sanboot --no-describe --drive 0x80 || exit
"""
"""For an installed machine. Where firmware cannot boot the drive so (some UEFI), `exit` hands over
to its next boot device, which is the disk."""


def bootstrap_script(api_uri: str) -> str:
    """The script behind /boot.ipxe: retry DHCP, then ask /ipxe with the machine's identity.

    net0 may not be the NIC that booted; the engine knows a machine by any of its MACs.
    """
    return (
        "#!ipxe\n"
        "echo start /boot.ipxe\n"
        ":retry_dhcp\n"
        "dhcp || goto retry_dhcp\n"
        f"chain {api_uri}/ipxe?uuid=${{uuid}}&mac=${{net0/mac:hexhyp}}"
        "&domain=${domain}&hostname=${hostname}&serial=${serial}\n"
    )
