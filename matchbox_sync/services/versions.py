"""Profile versions: compose each profile, prove it on a sample, keep what passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db import transaction

from matchbox_sync.compose import (
    ComposedProfile,
    ComposeError,
    compose_profile,
    restore_profile,
)
from matchbox_sync.documents import sha512_of, store_documents
from matchbox_sync.metadata import (
    EngineFacts,
    MachineFacts,
    discovery_metadata,
    render_metadata,
)
from matchbox_sync.models import ProfileVersion
from matchbox_sync.naming import DEFAULT_CLUSTER, published_profile, template_name
from matchbox_sync.renderer import PrivateMatchbox, Rendered, RenderFailure, ScratchGroup
from matchbox_sync.services.problems import Reports
from matchbox_sync.snippets import SnippetLibrary
from matchbox_sync.targets import config_fingerprint, roles_of
from matchbox_sync.verify import VerifyError, check_rendered, check_strict
from scheduling.models import Cluster
from scheduling.roles import PROFILE_DISCOVERY, PROFILES

SAMPLE_MAC = "02:00:00:00:00:01"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A profile that is good to use: what was composed, and the row that keeps it."""

    composed: ComposedProfile
    version: ProfileVersion


def sample_machine(profile: str, pod_index: int = 0) -> MachineFacts:
    """A machine of the documentation range (RFC 5737), to prove a role before it has machines."""
    return MachineFacts(
        uuid="00000000-0000-4000-8000-000000000001",
        mac=SAMPLE_MAC,
        interface_name="eth0",
        ipv4="192.0.2.10",
        prefix=24,
        gateway="192.0.2.1",
        fqdn="r1-srv1.sample.example",
        pod_index=pod_index,
        failure_domain="rack:1",
        disk_bytes=64 << 30,
        roles=roles_of(profile),
        profile=profile,
    )


def prepare_profiles(
    *,
    cluster: Cluster,
    values: Mapping[str, Any],
    engine: EngineFacts,
    matchbox: PrivateMatchbox,
    problems: Reports,
    site: str | None = None,
    is_kept: bool = True,
) -> dict[str, Prepared]:
    """Compose the cluster's profiles and return those that are good, by plain name.

    A profile that cannot be composed, rendered or verified is reported in `problems` and left
    out: what is in force stays in force. `site` is a directory of templates instead of the
    site's own; without `is_kept` the versions are no rows of the database, and nothing is written.
    """
    try:
        library = SnippetLibrary.from_directories(
            settings.IGNITION_SNIPPETS, settings.SITE_TEMPLATES if site is None else site
        )
    except (ComposeError, OSError) as error:
        problems.report(stage="compose", message=str(error))
        return {}
    prepared = {}
    for profile in PROFILES:
        if profile == PROFILE_DISCOVERY and cluster.name != DEFAULT_CLUSTER:
            continue  # a machine without a role belongs to no cluster
        try:
            composed = compose_profile(profile, values=values, engine=engine, snippets=library)
            metadata = _metadata_of(composed, cluster, values, engine)
            version = _prove(cluster, composed, metadata, matchbox, is_kept=is_kept)
        except ComposeError as error:
            problems.report(stage="compose", profile=profile, message=str(error))
        except VerifyError as error:
            problems.report(stage="verify", profile=profile, message=str(error))
        except _RenderError as error:
            problems.report(stage=error.stage, profile=profile, message=str(error))
        else:
            prepared[profile] = Prepared(composed, version)
    return prepared


def restore_profiles(versions: Mapping[str, ProfileVersion]) -> dict[str, Prepared]:
    """Kept versions as they were composed, to render machines with."""
    return {
        name: Prepared(
            restore_profile(
                name, template=row.template, boot=row.boot, fingerprint=row.fingerprint
            ),
            row,
        )
        for name, row in versions.items()
    }


class _RenderError(Exception):
    def __init__(self, failure: RenderFailure) -> None:
        super().__init__(failure.message)
        self.stage = failure.stage


def _metadata_of(
    composed: ComposedProfile, cluster: Cluster, values: Mapping[str, Any], engine: EngineFacts
) -> dict[str, Any]:
    if composed.name == PROFILE_DISCOVERY:
        return discovery_metadata(values=values, engine=engine)
    return render_metadata(
        machine=sample_machine(composed.name),
        cluster_name=cluster.name,
        values=values,
        engine=engine,
    )


def version_fingerprint(composed: ComposedProfile, metadata: Mapping[str, Any]) -> str:
    """A role's is its composed fingerprint; discovery's group has metadata that belongs to it."""
    if composed.name != PROFILE_DISCOVERY:
        return composed.fingerprint
    return config_fingerprint(composed.fingerprint, "", metadata)


def _prove(
    cluster: Cluster,
    composed: ComposedProfile,
    metadata: Mapping[str, Any],
    matchbox: PrivateMatchbox,
    *,
    is_kept: bool,
) -> ProfileVersion:
    """The known version of this content; a new one is rendered and verified on a sample first.

    Raises _RenderError or VerifyError.
    """
    fingerprint = version_fingerprint(composed, metadata)
    known = ProfileVersion.objects.filter(
        cluster=cluster, profile=composed.name, fingerprint=fingerprint
    ).first()
    if known:
        return known
    answer = _render_sample(composed, metadata, matchbox)
    published = published_profile(cluster.name, composed.name)
    version = ProfileVersion(
        cluster=cluster,
        profile=composed.name,
        fingerprint=fingerprint,
        template=composed.template,
        template_name=template_name(published, fingerprint),
        boot=composed.boot.as_json(),
        ipxe_script=answer.ipxe.decode(),
        document_id=sha512_of(answer.ignition),
        metadata=metadata if composed.name == PROFILE_DISCOVERY else {},
    )
    return _keep(version, answer.ignition) if is_kept else version


def _render_sample(
    composed: ComposedProfile, metadata: Mapping[str, Any], matchbox: PrivateMatchbox
) -> Rendered:
    mac = None if composed.name == PROFILE_DISCOVERY else SAMPLE_MAC
    answer = matchbox.render(composed, [ScratchGroup("sample", mac, metadata)])["sample"]
    if isinstance(answer, RenderFailure):
        raise _RenderError(replace(answer, message=f"{composed.name}: {answer.message}"))
    check_rendered(composed, answer)
    check_strict(answer)
    return answer


def _keep(version: ProfileVersion, document: bytes) -> ProfileVersion:
    """Store it, or return the row of a worker that was first."""
    with transaction.atomic():
        store_documents({sha512_of(document): document})
        ProfileVersion.objects.bulk_create([version], ignore_conflicts=True)
    return ProfileVersion.objects.get(
        cluster=version.cluster, profile=version.profile, fingerprint=version.fingerprint
    )
