#!/bin/bash
# shellcheck disable=SC2154
# dracut's side of the lab's virtual machines: what goes into their initramfs.
# Sourced by dracut, which sets moddir, initdir and hostonly.

check() {
    return 0
}

depends() {
    echo udev-rules
}

installkernel() {
    hostonly='' instmods \
        virtio_pci virtio_blk virtio_scsi virtio_net virtio_rng sd_mod ahci nvme af_packet \
        ext4 vfat nls_ascii nls_cp437 squashfs overlay loop
}

install() {
    inst_multiple \
        bash basename blkid busybox cat chmod chroot cp cut dd df find grep head ip lsblk mkfs.ext4 \
        mkswap partx rm rmdir sfdisk sha512sum sleep sort sync tail touch truncate \
        groupadd groupmod groupdel useradd usermod userdel wipefs
    inst_simple "$moddir/ignition" /usr/bin/ignition
    chmod 0755 "${initdir:?}/usr/bin/ignition"
    inst_script "$moddir/lab-lease" /usr/lib/enjoliver-lab/lease
    inst_simple "$moddir/lab-lib.sh" /usr/lib/enjoliver-lab/lib.sh
    # A machine that cannot go on starts anew, as on metal with a watchdog.
    mkdir -p "$initdir/etc/cmdline.d"
    echo "rd.shell=0 rd.emergency=reboot" > "$initdir/etc/cmdline.d/95-lab.conf"
    ln -sf ../bin/busybox "$initdir/usr/sbin/reboot"
    # Behind dracut's own hook, which takes root= from the kernel's arguments.
    inst_hook cmdline 30 "$moddir/lab-cmdline.sh"
    inst_hook mount 10 "$moddir/lab-mount.sh"
    inst_hook pre-pivot 10 "$moddir/lab-ignition.sh"
}
