"""`manage.py sync`: run one sync now and say what it did."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.words import counted
from matchbox_sync.models import Problem
from matchbox_sync.services import sync_cluster
from matchbox_sync.services.assetuse import missing_uses
from scheduling.models import Cluster


class Command(BaseCommand):
    """Bring a cluster's configs up to its intent."""

    help = "Compose, render, verify and publish the configs of a cluster now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cluster", default="default")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"]).first()
        if cluster is None:
            raise CommandError(f"there is no cluster named {options['cluster']!r}")
        result = sync_cluster(cluster=cluster)
        if result is None:
            raise CommandError("another worker is syncing this cluster right now")
        revision = f"revision {result.revision}" if result.revision else "no new revision"
        self.stdout.write(
            f"{revision}: {counted(result.rendered, 'machine config')} rendered, "
            f"{counted(result.written, 'file')} written, {result.deleted} deleted, "
            f"{counted(result.problems, 'problem')}, {result.seconds:.1f} s"
        )
        for problem in Problem.objects.filter(cluster=cluster)[:20]:
            self.stdout.write(f"  {problem.profile} {problem.stage}: {problem.message}")
        for use in missing_uses():
            if use.cluster == cluster.name:
                self.stdout.write(f"  not in the assets: {use.path}, which {use.by} uses")
        if result.problems:
            raise CommandError("some configs are held back, see above")
