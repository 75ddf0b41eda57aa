"""Machines, values and snippet libraries for the tests of composing and rendering."""

from dataclasses import replace

from django.conf import settings

from matchbox_sync.compose import compose_profile
from matchbox_sync.metadata import (
    EngineFacts,
    MachineFacts,
    discovery_metadata,
    render_metadata,
)
from matchbox_sync.renderer import ScratchGroup
from matchbox_sync.snippets import SnippetLibrary
from scheduling.roles import (
    CONTROL_PLANE_ROLES,
    PROFILE_CONTROL_PLANE,
    PROFILE_DISCOVERY,
    PROFILE_NODE,
    PROFILES,
)
from scheduling.values import merge_values

ENGINE = EngineFacts("http://10.0.0.1:5000", ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ops@example",))
VALUES = merge_values({})
ROLE_PROFILES = (PROFILE_CONTROL_PLANE, PROFILE_NODE)

__all__ = ["ENGINE", "PROFILES", "ROLE_PROFILES", "VALUES"]


def machine(number=1, profile=PROFILE_NODE, **facts):
    """The `number`th machine of a fleet."""
    roles = (
        ("kubernetes-node",) if profile == PROFILE_NODE else tuple(map(str, CONTROL_PLANE_ROLES))
    )
    made = MachineFacts(
        uuid=f"00000000-0000-4000-8000-{number:012x}",
        mac=f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}",
        interface_name="eth0",
        ipv4=f"10.0.{number >> 8}.{number & 255}",
        prefix=16,
        gateway="10.0.255.254",
        fqdn=f"r{number % 4}-srv{number}.dc1.example.org",
        pod_index=number,
        failure_domain="rack:1",
        disk_bytes=12 << 30,
        roles=roles,
        profile=profile,
    )
    return replace(made, **facts)


def own_library():
    """What the repository ships."""
    return SnippetLibrary.from_directories(settings.IGNITION_SNIPPETS)


def site_library(site, files):
    """Our library with `files` (path below the site's directory → text) laid over it."""
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SnippetLibrary.from_directories(settings.IGNITION_SNIPPETS, site)


def compose(profile=PROFILE_NODE, *, library=None, engine=ENGINE, **values):
    """Compose with the default values and `values` over them."""
    library = library or own_library()
    return compose_profile(profile, values={**VALUES, **values}, engine=engine, snippets=library)


def metadata_of(facts, **values):
    """The render metadata of a machine of the default cluster."""
    merged = {**VALUES, **values}
    return render_metadata(machine=facts, cluster_name="default", values=merged, engine=ENGINE)


def group_of(profile, number=1, **facts):
    """The scratch group of a machine, or the one of discovery."""
    if profile == PROFILE_DISCOVERY:
        return ScratchGroup("discovery", None, discovery_metadata(values=VALUES, engine=ENGINE))
    one = machine(number, profile, **facts)
    return ScratchGroup(str(number), one.mac, metadata_of(one))
