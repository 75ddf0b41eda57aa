#!/bin/sh
# Run Ignition on the new root: where the kernel's arguments ask for it (Flatcar's names), or where
# the installer or a staged update left its flag beside the config on the OEM partition.

# shellcheck source=lab-lib.sh
. /usr/lib/enjoliver-lab/lib.sh

lab_run_ignition() {
    # The kernel's log takes ten lines in five seconds from programs, unless told otherwise.
    echo on > /proc/sys/kernel/printk_devkmsg
    mkdir -p /run/ignition
    if [ -s "$LAB/oem/config.ign" ]; then
        mkdir -p /usr/lib/ignition
        cp "$LAB/oem/config.ign" /usr/lib/ignition/user.ign
    fi
    lab_ignition fetch-offline || return 1
    if [ -e /run/ignition/neednet ]; then
        lab_network_up || return 1
        lab_ignition fetch || return 1
    fi
    for stage in kargs disks mount files umount; do
        lab_ignition "$stage" || return 1
    done
    lab_enable_units
}

lab_name_machine
if lab_is_asked || [ -e "$LAB/oem/first-boot" ]; then
    lab_run_ignition || die "lab: Ignition failed; its lines stand above"
    lab_network_down
    rm -f "$LAB/oem/first-boot"
    sync
    lab_say "Ignition is done"
fi
