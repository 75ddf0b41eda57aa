"""The schema of cluster values: every key with its type, default and meaning. Data only.

Most keys come from the metadata that the 2018 project wrote for each machine; what its programs
needed and nobody runs any more (rkt, Container Linux, fleet's daemon) is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scheduling import valuechecks as checks
from scheduling.valuetypes import ValueType as T


@dataclass(frozen=True, slots=True)
class Value:
    """One cluster value. `component` names the part of a machine that the value configures.

    A list's default is a tuple. `check` is asked after the type and raises ValueError.
    """

    name: str
    type: T
    default: str | int | bool | tuple[str, ...]
    meaning: str
    example: Any
    component: str
    check: checks.Check | None = None


def _etcd(name: str, client: int, peer: int, purpose: str) -> tuple[Value, ...]:
    """The three values of one of the etcd clusters on the control plane."""
    return (
        Value(
            f"{name}_etcd_client_port",
            T.PORT,
            client,
            f"Client port of the etcd cluster {purpose}.",
            2379,
            "etcd",
        ),
        Value(
            f"{name}_etcd_peer_port",
            T.PORT,
            peer,
            f"Peer port of the etcd cluster {purpose}.",
            2380,
            "etcd",
        ),
        Value(
            f"{name}_etcd_data_dir",
            T.PATH,
            f"/var/lib/etcd3/{name}",
            f"Data directory of the etcd cluster {purpose}; survives updates of the machine.",
            f"/mnt/ssd/etcd/{name}",
            "etcd",
        ),
    )


_BOOT = (
    Value(
        "boot_kernel",
        T.ASSET,
        "flatcar_production_pxe.vmlinuz",
        "Kernel that machines boot over the network, below /assets.",
        "flatcar/4230.2.3/flatcar_production_pxe.vmlinuz",
        "boot",
    ),
    Value(
        "boot_initrd",
        T.ASSET,
        "flatcar_production_pxe_image.cpio.gz",
        "Initrd that machines boot over the network, below /assets.",
        "flatcar/4230.2.3/flatcar_production_pxe_image.cpio.gz",
        "boot",
    ),
    Value(
        "console_arguments",
        T.LINES,
        ("console=tty0", "console=ttyS0,115200n8"),
        "Consoles of the kernel; the last one is where the system writes.",
        ["console=tty0", "console=ttyS1,115200n8"],
        "boot",
        checks.consoles,
    ),
    Value(
        "kernel_arguments",
        T.LINES,
        (),
        "Further kernel arguments of the network boot and of the installed system.",
        ["mitigations=auto", "intel_iommu=on"],
        "boot",
        checks.kernel_arguments,
    ),
    Value(
        "install_base_url",
        T.URL,
        "",
        "Where the installer fetches the system image. Empty: /assets of the engine.",
        "https://mirror.example.org/flatcar/amd64-usr",
        "install",
    ),
    Value(
        "install_version",
        T.STRING,
        "current",
        "Version that the installer writes: a folder below install_base_url.",
        "4230.2.3",
        "install",
        checks.matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a version or `current`"),
    ),
    Value(
        "disk_ladder",
        T.WORDS,
        ("S=10", "M=20", "L=30"),
        "Names for sizes: a machine whose disks hold fewer GiB together than a step has that "
        "step's name, one above all steps the last one's, one without disks `inMemory`.",
        ["S=256", "M=1024", "L=4096"],
        "disks",
        checks.disk_ladder,
    ),
)

_NETWORK = (
    Value(
        "name_servers",
        T.ADDRESSES,
        (),
        "DNS servers. Empty: those that DHCP gives.",
        ["10.0.0.53", "10.0.1.53"],
        "network",
    ),
    Value(
        "search_domains",
        T.WORDS,
        (),
        "DNS search domains. Empty: those that DHCP gives.",
        ["dc1.example.org"],
        "network",
        checks.hosts,
    ),
    Value(
        "etc_hosts",
        T.LINES,
        (),
        "Further lines of /etc/hosts.",
        ["172.20.0.1 enjoliver.local enjoliver"],
        "network",
        checks.host_lines,
    ),
    Value(
        "network_interface_match",
        T.STRING,
        "",
        "Name pattern of the interface that carries the machine's address "
        "(systemd.network(5), Name=). Empty: the boot interface, by its MAC.",
        "bond0",
        "network",
        checks.matching(r"[A-Za-z0-9_.*?!\[\]-]{0,64}", "an interface name or pattern"),
    ),
    Value(
        "network_mtu",
        T.INTEGER,
        0,
        "MTU of that interface in bytes. 0: left as it is.",
        9000,
        "network",
        checks.zero_or_within(1280, 9216),
    ),
    Value(
        "pod_network",
        T.NETWORK,
        "100.64.0.0/10",
        "Network that pods get their addresses from; each machine has its own part of it.",
        "10.128.0.0/9",
        "network",
    ),
    Value(
        "pod_prefix",
        T.INTEGER,
        24,
        "Prefix length of one machine's part of the pod network: 24 gives 254 pods a machine. "
        "Parts never overlap; 100.64.0.0/10 holds 16,384 of them.",
        25,
        "network",
        checks.within(16, 28),
    ),
    Value(
        "perennial_local_host_ip",
        T.ADDRESS,
        "172.31.255.255",
        "Address on the loopback of each machine, the same everywhere: how pods reach their "
        "own machine.",
        "172.31.255.255",
        "network",
    ),
    Value(
        "ntp",
        T.WORDS,
        ("0.flatcar.pool.ntp.org", "1.flatcar.pool.ntp.org", "2.flatcar.pool.ntp.org"),
        "Time servers.",
        ["ntp1.example.org", "10.0.0.123"],
        "time",
        checks.hosts,
    ),
    Value(
        "fallback_ntp",
        T.WORDS,
        ("0.pool.ntp.org", "1.pool.ntp.org"),
        "Time servers that are asked when no other one is known.",
        ["0.pool.ntp.org"],
        "time",
        checks.hosts,
    ),
    Value(
        "timezone",
        T.STRING,
        "UTC",
        "Time zone of the machines.",
        "Europe/Paris",
        "time",
        checks.time_zone,
    ),
)

_SYSTEM = (
    Value(
        "ssh_authorized_keys",
        T.LINES,
        (),
        "Public keys of the user `core`, beside those of ENJOLIVER_SSH_KEYS.",
        ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1G0vEXAMPLE0000000000000000000000000000 ops"],
        "ssh",
        checks.ssh_keys,
    ),
    Value(
        "kernel_modules",
        T.WORDS,
        ("br_netfilter", "overlay", "nf_conntrack"),
        "Kernel modules that are loaded at boot.",
        ["br_netfilter", "overlay", "rbd"],
        "kernel",
        checks.matching(r"[A-Za-z0-9_-]{1,64}", "a module name"),
    ),
    Value(
        "sysctl",
        T.LINES,
        (
            "net.ipv4.ip_forward=1",
            "net.bridge.bridge-nf-call-iptables=1",
            "net.bridge.bridge-nf-call-ip6tables=1",
            "vm.overcommit_memory=1",
            "vm.max_map_count=262144",
            "kernel.panic=10",
            "kernel.panic_on_oops=1",
            "fs.inotify.max_user_instances=8192",
            "fs.inotify.max_user_watches=524288",
        ),
        "Kernel settings, `key=value`. What you give replaces the whole list.",
        ["net.ipv4.ip_forward=1", "vm.swappiness=0"],
        "kernel",
        checks.sysctls,
    ),
    Value(
        "lifecycle_update_polling_seconds",
        T.INTEGER,
        60,
        "How often an installed machine reports its configuration, in seconds.",
        30,
        "agent",
        checks.within(1, 3600),
    ),
    Value(
        "agent_url",
        T.URL,
        "",
        "Where machines fetch the agent; needs agent_sha512. Empty: none is installed.",
        "https://mirror.example.org/enjoliver-agent.tar.gz",
        "agent",
    ),
    Value(
        "agent_sha512",
        T.SHA512,
        "",
        "Digest of the file at agent_url; anything else is refused by the machine.",
        "0" * 128,
        "agent",
    ),
)

_KUBERNETES = (
    Value(
        "kubernetes_version",
        T.VERSION,
        "1.34.1",
        "Version of the Kubernetes programs.",
        "1.34.2",
        "kubernetes",
    ),
    Value(
        "kubernetes_apiserver_port",
        T.PORT,
        6443,
        "HTTPS port of the API servers.",
        443,
        "kubernetes",
    ),
    Value(
        "kubelet_healthz_port",
        T.PORT,
        10248,
        "Port of the kubelet's health check, on loopback.",
        10248,
        "kubernetes",
    ),
    Value(
        "kubernetes_service_cluster_ip_range",
        T.NETWORK,
        "172.30.0.0/16",
        "Network of the Services' cluster addresses (the API server takes /12 at most).",
        "10.96.0.0/12",
        "kubernetes",
        checks.prefix_within(12, 28),
    ),
    *_etcd("kubernetes", 4003, 7003, "of Kubernetes"),
    *_etcd("vault", 4002, 7002, "of a Vault with etcd storage"),
    *_etcd("fleet", 4001, 7001, "of machine membership and update slots"),
    Value("vault_port", T.PORT, 8200, "HTTPS port of the secret store.", 8200, "vault"),
    Value(
        "vault_polling_seconds",
        T.INTEGER,
        30,
        "How often a machine asks the secret store for what it waits for, in seconds.",
        10,
        "vault",
        checks.within(1, 3600),
    ),
)

_COMPONENTS = tuple(
    Value(
        f"component_{name}",
        T.BOOLEAN,
        False,
        f"Adds the component `{name}` to the machines: {meaning}.",
        True,
        "components",
    )
    for name, meaning in (
        ("etcd", "the etcd clusters of the control plane"),
        ("containerd", "the container runtime"),
        ("kubernetes", "the control plane's services, kubelet and kube-proxy"),
        ("vault", "the secret store on the control plane"),
    )
)

SCHEMA: tuple[Value, ...] = (*_BOOT, *_NETWORK, *_SYSTEM, *_KUBERNETES, *_COMPONENTS)
