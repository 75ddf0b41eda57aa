#!/bin/sh
# What the lab's hooks share. Mount points lie below /run, which outlives the change of the root.

LAB=${LAB:-/run/enjoliver-lab}

# Messages and the output of programs, for the console and for the journal's `ignition`.
lab_say() {
    info "lab: $*"
}

# Whether Ignition was asked for by the kernel's arguments; the names are Flatcar's.
lab_is_asked() {
    case $(getarg flatcar.first_boot=) in
        1 | detected) return 0 ;;
    esac
    return 1
}

lab_is_live() {
    [ -e /lab/root.squashfs ] || [ -e "$LAB/live" ]
}

lab_mount_live() {
    mkdir -p "$LAB/lower" "$LAB/ram"
    modprobe loop
    mount -t squashfs -o loop,ro /lab/root.squashfs "$LAB/lower" || return 1
    : > "$LAB/live"
    mount -t tmpfs -o mode=0755,size=75% lab-ram "$LAB/ram" || return 1
    mkdir -p "$LAB/ram/upper" "$LAB/ram/work"
    mount -t overlay -o "lowerdir=$LAB/lower,upperdir=$LAB/ram/upper,workdir=$LAB/ram/work" \
        lab-root "$NEWROOT"
}

lab_mount_disk() {
    mkdir -p "$LAB/boot" "$LAB/oem" "$LAB/disk" "$LAB/lower"
    modprobe loop
    mount -t ext4 -o ro /dev/disk/by-partlabel/LAB-BOOT "$LAB/boot" || return 1
    mount -t ext4 /dev/disk/by-partlabel/LAB-OEM "$LAB/oem" || return 1
    mount -t ext4 /dev/disk/by-partlabel/LAB-ROOT "$LAB/disk" || return 1
    mount -t squashfs -o loop,ro "$LAB/boot/root.squashfs" "$LAB/lower" || return 1
    if lab_wants_reset; then
        lab_say "a fresh root; data paths are kept"
        lab_reset
    fi
    mount -t overlay \
        -o "lowerdir=$LAB/lower,upperdir=$LAB/disk/upper,workdir=$LAB/disk/work" \
        lab-root "$NEWROOT" || return 1
    mount --bind "$LAB/disk/var" "$NEWROOT/var"
    mount --bind "$LAB/oem" "$NEWROOT/oem"
    mount --bind "$LAB/boot" "$NEWROOT/boot"
}

# Before the first start of the installed system, and after each staged update.
lab_wants_reset() {
    [ -e "$LAB/oem/first-boot" ] || lab_is_asked
}

# A fresh root. The machine's id and what `keep-paths` names stay. Killed anywhere, the next start
# goes on: what was moved lies in `….new`, and is moved back only when all else is gone.
lab_reset() {
    disk=${LAB:?}/disk
    mkdir -p "$disk/upper" "$disk/var" "$disk/upper.new" "$disk/var.new" "$disk/work"
    sync
    {
        printf '%s\n' /etc/machine-id '/etc/ssh/ssh_host_*' /var/log /var/lib/enjoliver
        cat "$LAB/oem/keep-paths" 2> /dev/null
    } > "$LAB/keep"
    # Line by line: the shell would match a pattern on the initramfs's own files.
    while IFS= read -r pattern; do
        lab_keep "$pattern"
    done < "$LAB/keep"
    sync
    rm -rf "${disk:?}/upper" "${disk:?}/var" "${disk:?}/work"
    mkdir -p "$disk/work"
    mv "$disk/upper.new" "$disk/upper"
    mv "$disk/var.new" "$disk/var"
    chmod 0755 "$disk/upper" "$disk/var"
    cp -an "$LAB/lower/var/." "$disk/var/"
    sync
}

# One path or shell pattern, absolute: /var is a folder of its own, all else lies in the overlay.
lab_keep() {
    case $1 in
        /var/*) from=$disk/var to=$disk/var.new rest=${1#/var/} ;;
        /*) from=$disk/upper to=$disk/upper.new rest=${1#/} ;;
        *) return 0 ;;
    esac
    old_ifs=$IFS
    IFS='' # a name with a blank is one name
    # shellcheck disable=SC2231 # the pattern is meant to be one
    for path in $from/$rest; do
        [ -e "$path" ] || continue
        target=$to/${path#"$from"/}
        [ -e "$target" ] && continue
        mkdir -p "${target%/*}"
        mv "$path" "$target"
    done
    IFS=$old_ifs
}

# Ignition enables units by a preset, which systemd would apply together with all others at a first
# start: a quarter of a minute where the processor is emulated. The image has all others applied.
lab_enable_units() {
    presets=$NEWROOT/etc/systemd/system-preset/20-ignition.preset
    [ -e "$presets" ] || return 0
    # shellcheck disable=SC2046 # one word a unit
    chroot "$NEWROOT" /usr/bin/systemctl preset $(cut -d ' ' -f 2 "$presets")
}

# An id of its own for a system that starts for the first time; thereafter it stays.
lab_name_machine() {
    case $(cat "$NEWROOT/etc/machine-id" 2> /dev/null) in
        "" | uninitialized)
            sed 's/-//g' /proc/sys/kernel/random/uuid > "$NEWROOT/etc/machine-id"
            ;;
    esac
}

# An address for Ignition's fetches, on the first interface that gets one.
lab_network_up() {
    for folder in /sys/class/net/*; do
        name=${folder##*/}
        [ "$name" = lo ] && continue
        ip link set "$name" up
        lab_say "asking for an address on $name"
        if busybox udhcpc -i "$name" -s /usr/lib/enjoliver-lab/lease -n -q -f -t 8 -T 3; then
            return 0
        fi
        ip link set "$name" down
    done
    return 1
}

# The system's own network service finds the interfaces as firmware left them.
lab_network_down() {
    for folder in /sys/class/net/*; do
        name=${folder##*/}
        [ "$name" = lo ] && continue
        ip addr flush dev "$name"
        ip link set "$name" down
    done
}

# One stage of Ignition. Its lines go to the kernel's log, from where the journal takes them under
# the name `ignition`; without systemd in the initramfs there is no other way there.
lab_ignition() {
    lab_say "Ignition: $1"
    {
        /usr/bin/ignition --root="$NEWROOT" --platform=metal --stage="$1" --log-to-stdout 2>&1
        echo "$?" > "$LAB/status"
    } | while IFS= read -r line; do
        echo "<14>ignition[$$]: $line" > /dev/kmsg
    done
    [ "$(cat "$LAB/status")" = 0 ]
}
