"""Names of what is published: profiles, groups, files. Stable, never an index."""

from __future__ import annotations

DEFAULT_CLUSTER = "default"


def published_profile(cluster_name: str, profile: str) -> str:
    """The default cluster has the three plain names, another cluster's carry its name."""
    return profile if cluster_name == DEFAULT_CLUSTER else f"{cluster_name}-{profile}"


def held_profile(published: str, revision_number: int) -> str:
    """The profile of machines that are held back at a revision."""
    return f"{published}.r{revision_number}"


def group_id(published: str, mac: str) -> str:
    """From the plain profile name and the MAC, never from `.r<N>`: holding back renames nothing."""
    return f"{published}-{mac.replace(':', '-')}"


def template_name(published: str, fingerprint: str) -> str:
    """Content-addressed, so that two revisions can be in force at once."""
    return f"{published}.{fingerprint[:16]}.yaml"
