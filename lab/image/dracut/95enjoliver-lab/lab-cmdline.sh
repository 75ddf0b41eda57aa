#!/bin/sh
# The root is ours to mount: in RAM when this initramfs brings it along, else from the disk that
# the installer wrote.

# shellcheck disable=SC2034 # dracut's init reads both
root=lab rootok=1
if [ ! -e /lab/root.squashfs ]; then
    wait_for_dev -n /dev/disk/by-partlabel/LAB-ROOT
fi
