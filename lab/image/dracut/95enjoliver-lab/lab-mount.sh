#!/bin/sh
# Mount the lab's root on $NEWROOT; dracut calls this again until something is there.

# shellcheck source=lab-lib.sh
. /usr/lib/enjoliver-lab/lib.sh

if [ ! -e "$LAB/tried" ]; then
    mkdir -p "$LAB"
    : > "$LAB/tried"
    if lab_is_live; then
        lab_say "the system runs in RAM"
        lab_mount_live || die "lab: the root in RAM cannot be mounted"
    else
        lab_say "the system runs from the disk"
        lab_mount_disk || die "lab: the installed root cannot be mounted"
    fi
fi
