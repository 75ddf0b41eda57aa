"""What a machine's group says: its own values and the cluster's, as strings and booleans.

matchbox turns numbers into floats, prints a JSON null as `<no value>`, leaves lists out of
/metadata and quotes nothing. So leaves are strings or booleans, numbers are written as strings,
no value holds a line break, and every key is always there ("" for what is not known).

Names of keys are those of the 2018 project where the meaning is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from machines.topology import parse_fqdn
from matchbox_sync.facts import EngineFacts, MachineFacts, Member
from matchbox_sync.metadatatext import metadata_text

__all__ = [
    "ETCD_CLUSTERS",
    "MEMBERSHIP_KEYS",
    "EngineFacts",
    "MachineFacts",
    "Member",
    "discovery_metadata",
    "disk_profile",
    "membership_metadata",
    "metadata_text",
    "pod_network",
    "render_metadata",
]

ETCD_CLUSTERS = ("kubernetes", "vault", "fleet")
CNI_DATA_DIR = "/var/lib/cni/networks"

MEMBERSHIP_KEYS = frozenset(
    {
        "etcd_member_kubernetes_control_plane_ip_list",
        "etcd_member_kubernetes_control_plane_names",
        "kubernetes_apiserver_count",
        "kubernetes_apiserver_uri_list",
        "vault_ip_list",
        *(f"{name}_etcd_initial_cluster" for name in ETCD_CLUSTERS),
        *(f"{name}_etcd_member_client_uri_list" for name in ETCD_CLUSTERS),
        *(f"{name}_etcd_member_peer_uri_list" for name in ETCD_CLUSTERS),
    }
)
"""Who the control plane is: served by /metadata, never in an Ignition document."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_FQDN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}", re.ASCII)


def render_metadata(
    *, machine: MachineFacts, cluster_name: str, values: Mapping[str, Any], engine: EngineFacts
) -> dict[str, Any]:
    """All that a machine's Ignition may use: everything but membership.

    Never fails for odd facts: a name that is no host name counts as none, control characters
    become blanks; without a pod network left, `pod.cidr` and `cni` are empty (see `verify`).
    """
    network = _network(machine, values)
    fqdn = machine.fqdn.lower() if _FQDN.fullmatch(machine.fqdn) else ""
    name = fqdn or _made_up_name(machine)
    pods = pod_network(values["pod_network"], values["pod_prefix"], machine.pod_index)
    return {
        **_cluster_part(cluster_name, values, engine),
        "boot_mac": machine.mac,
        "cni": _cni(pods, network["perennial_host_ip"]),
        "disk_profile": disk_profile(machine.disk_bytes, values["disk_ladder"]),
        "dns_attr": _dns_attributes(fqdn),
        "etcd_name": network["ip"] or name,
        **_advertised(network["ip"], values),
        "failure_domain": _clean(machine.failure_domain),
        "fqdn": name,
        "hostname": name.partition(".")[0],
        "kubernetes_node_ip": network["ip"],
        "kubernetes_node_name": fqdn or network["ip"] or name,
        "network": network,
        "pod": {"cidr": str(pods or ""), "index": str(machine.pod_index)},
        "profile": machine.profile,
        "roles": ",".join(machine.roles),
        "uuid": machine.uuid,
    }


def membership_metadata(*, members: Sequence[Member], values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of MEMBERSHIP_KEYS, for all roles alike; members in the order given."""
    addresses = [member.ipv4 for member in members if member.ipv4]
    listed = ",".join(addresses)
    port = values["kubernetes_apiserver_port"]
    metadata = {
        "etcd_member_kubernetes_control_plane_ip_list": listed,
        "etcd_member_kubernetes_control_plane_names": ",".join(_clean(m.name) for m in members),
        "kubernetes_apiserver_count": str(len(members)),
        "kubernetes_apiserver_uri_list": _urls(addresses, port),
        "vault_ip_list": listed,
    }
    for name in ETCD_CLUSTERS:
        peer = values[f"{name}_etcd_peer_port"]
        client = values[f"{name}_etcd_client_port"]
        cluster = ",".join(f"{address}=https://{address}:{peer}" for address in addresses)
        metadata[f"{name}_etcd_initial_cluster"] = cluster
        metadata[f"{name}_etcd_member_client_uri_list"] = _urls(addresses, client)
        metadata[f"{name}_etcd_member_peer_uri_list"] = _urls(addresses, peer)
    return metadata


def discovery_metadata(*, values: Mapping[str, Any], engine: EngineFacts) -> dict[str, Any]:
    """Metadata of the one group without selector."""
    return {
        "api_uri": engine.api_uri,
        "etc_hosts": [_clean(line) for line in values["etc_hosts"]],
        # For clients that add it to their query, once their machine has a role.
        "extra_selectors": "os=installed",
        "install_base_url": _install_base_url(values, engine),
        "install_version": str(values["install_version"]),
        "profile": "discovery",
        "ssh_authorized_keys": _ssh_keys(values, engine),
    }


def pod_network(network: str, prefix: int, index: int) -> IPv4Network | None:
    """The `index`th part with `prefix` of the pod network; None when it does not hold so many.

    Parts of different indexes never overlap.
    """
    whole = IPv4Network(network)
    size = 1 << (32 - prefix)
    if prefix < whole.prefixlen or not 0 <= index < whole.num_addresses // size:
        return None
    return IPv4Network((int(whole.network_address) + index * size, prefix))


def disk_profile(disk_bytes: int, ladder: Sequence[str]) -> str:
    """The name of the ladder's step for this much disk; steps are exclusive upper limits in GiB.

    Above all steps the last one counts. No disk: `inMemory`.
    """
    if disk_bytes <= 0:
        return "inMemory"
    steps = [step.partition("=") for step in ladder]
    fits = (name for name, _, size in steps if disk_bytes >> 30 < int(size))
    return next(fits, steps[-1][0])


# --- parts --------------------------------------------------------------------------------------


def _cluster_part(
    cluster_name: str, values: Mapping[str, Any], engine: EngineFacts
) -> dict[str, Any]:
    """What is the same for all machines of the cluster: scalars of the schema, lists as texts."""
    part = {
        "api_uri": engine.api_uri,
        "cluster_name": cluster_name,
        "etc_hosts": [_clean(line) for line in values["etc_hosts"]],
        "fallbackntp": " ".join(values["fallback_ntp"]),
        "install_base_url": _install_base_url(values, engine),
        "install_version": str(values["install_version"]),
        "kubernetes_service_cluster_ip_range": values["kubernetes_service_cluster_ip_range"],
        "lifecycle_update_polling_sec": str(values["lifecycle_update_polling_seconds"]),
        "nameservers": " ".join(values["name_servers"]),
        "ntp": " ".join(values["ntp"]),
        "pod_network": values["pod_network"],
        "ssh_authorized_keys": _ssh_keys(values, engine),
        "timezone": values["timezone"],
        "vault_polling_sec": str(values["vault_polling_seconds"]),
    }
    for name in ("kubelet_healthz_port", "kubernetes_apiserver_port", "vault_port"):
        part[name] = str(values[name])
    for name in ETCD_CLUSTERS:
        part[f"{name}_etcd_client_port"] = str(values[f"{name}_etcd_client_port"])
        part[f"{name}_etcd_peer_port"] = str(values[f"{name}_etcd_peer_port"])
        part[f"{name}_etcd_data_dir"] = values[f"{name}_etcd_data_dir"]
    return part


def _network(machine: MachineFacts, values: Mapping[str, Any]) -> dict[str, str]:
    """The pinned address, or DHCP when none was pinned."""
    is_known = bool(machine.ipv4 and machine.prefix)
    cidr = f"{machine.ipv4}/{machine.prefix}" if is_known else ""
    name = machine.interface_name
    return {
        "cidrv4": cidr,
        "dhcp": "no" if is_known else "ipv4",
        "gateway": machine.gateway if is_known else "",
        "interface": name if _INTERFACE.fullmatch(name) else "",
        "ip": machine.ipv4,
        "ip_or_fqdn": machine.ipv4,
        "perennial_host_ip": values["perennial_local_host_ip"],
        "subnet": str(IPv4Interface(cidr).network) if is_known else "",
    }


def _advertised(address: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The machine's own etcd URLs, as the other members see them."""
    urls = {}
    for name in ETCD_CLUSTERS:
        peer, client = values[f"{name}_etcd_peer_port"], values[f"{name}_etcd_client_port"]
        urls[f"{name}_etcd_initial_advertise_peer_urls"] = _urls([address], peer)
        urls[f"{name}_etcd_advertise_client_urls"] = _urls([address], client)
    return urls


def _cni(pods: IPv4Network | None, perennial: str) -> str:
    """The IPAM part of the CNI configuration, as JSON text (cni.dev, plugin host-local).

    The first address is the bridge's; over it pods reach the machine and everything else.
    """
    if pods is None:
        return ""
    ipam = {
        "type": "host-local",
        "dataDir": CNI_DATA_DIR,
        "subnet": str(pods),
        "rangeStart": str(pods[2]),
        "rangeEnd": str(pods[-2]),
        "gateway": str(pods[1]),
        "routes": [{"dst": f"{perennial}/32"}, {"dst": "0.0.0.0/0"}],
    }
    return json.dumps(ipam, sort_keys=True)


def _dns_attributes(fqdn: str) -> dict[str, str]:
    found = parse_fqdn(fqdn)
    return {
        "dc": found.dc,
        "domain": found.domain,
        "pos": found.pos,
        "rack": found.rack,
        "shortname": found.shortname,
    }


def _made_up_name(machine: MachineFacts) -> str:
    """A host name for a machine that claims none: from its address, else from its MAC."""
    prefix = "no" if machine.roles == ("kubernetes-node",) else "cp"
    return f"{prefix}-{re.sub('[.:]', '-', machine.ipv4 or machine.mac)}"


def _urls(addresses: Sequence[str], port: int) -> str:
    return ",".join(f"https://{address}:{port}" for address in addresses if address)


def _install_base_url(values: Mapping[str, Any], engine: EngineFacts) -> str:
    return str(values["install_base_url"] or f"{engine.api_uri}/assets")


def _ssh_keys(values: Mapping[str, Any], engine: EngineFacts) -> list[str]:
    return [_clean(key) for key in (*engine.ssh_keys, *values["ssh_authorized_keys"])]


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)
