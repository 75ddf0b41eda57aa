"""`manage.py assets add|verify|list|remove`: the files that machines fetch."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from matchbox_sync.assets.advice import values_for
from matchbox_sync.assets.incoming import Incoming, files_of_release
from matchbox_sync.assets.manifest import KINDS
from matchbox_sync.assets.table import asset_table
from matchbox_sync.services.assets import Added, add_assets, remove_asset
from matchbox_sync.services.assetuse import list_assets, verify_assets


class Command(BaseCommand):
    """One sub-command a verb; nothing is changed when anything is refused."""

    help = "Add, check, list and remove the files below /assets: kernels, initrds, images, agents."

    def add_arguments(self, parser: CommandParser) -> None:
        """The four sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add = verbs.add_parser("add", help="copy a file, or a release's folder, into the assets")
        add.add_argument("source", metavar="FILE|DIRECTORY", type=Path)
        add.add_argument("--path", default="", help="below /assets; default: its name, or version")
        add.add_argument("--kind", choices=KINDS, default="", help="default: by its name")
        add.add_argument("--version", dest="asset_version", default="", help="default: by its path")
        add.add_argument("--sha512", default="", help="refuse a file with another digest")
        add.add_argument("--signature", type=Path, help="detached; default: FILE.sig or FILE.asc")
        add.add_argument("--link", action="store_true", help="hard link instead of a copy")
        add.add_argument("--replace", action="store_true", help="replace other content")
        verify = verbs.add_parser("verify", help="read the files again, say what is wrong")
        verify.add_argument("paths", nargs="*", metavar="PATH")
        for verb in (add, verify):
            verb.add_argument("--keyring", type=Path, help="OpenPGP keys that must have signed")
        listing = verbs.add_parser("list", help="all assets, their state and who uses them")
        remove = verbs.add_parser("remove", help="remove an asset and its signature")
        remove.add_argument("path", metavar="PATH")
        remove.add_argument("--force", action="store_true", help="also when it is in use")
        for verb in (add, verify, listing, remove):
            verb.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except EngineError as error:
            raise CommandError(error.value) from error
        except OSError as error:
            raise CommandError(f"the assets cannot be used: {error}") from error

    def _add(self, options: Mapping[str, Any]) -> None:
        source: Path = options["source"]
        added = add_assets(
            _release(options) if source.is_dir() else [_single(options)],
            actor=f"{getpass.getuser()} (command line)",
            keyring=options["keyring"],
            is_link=options["link"],
            is_replacing=options["replace"],
        )
        values = values_for([one.asset for one in added], settings.API_URI)
        if options["json"]:
            rows = [{**one.asset.as_json(), "outcome": one.outcome} for one in added]
            self._print_json({"assets": rows, "values": values})
            return
        for one in added:
            self.stdout.write(_line(one))
        if values:
            pairs = " ".join(f"{key}={value}" for key, value in values.items())
            self.stdout.write(f"To use them:\n  manage.py values set {pairs}")

    def _verify(self, options: Mapping[str, Any]) -> None:
        read, findings = verify_assets(options["paths"], keyring=options["keyring"])
        if options["json"]:
            rows = [
                {"path": one.path, "kind": one.kind, "message": one.message} for one in findings
            ]
            self._print_json({"read": read, "findings": rows})
        for one in () if options["json"] else findings:
            self.stdout.write(f"{one.kind}: {one.path}: {one.message}")
        if findings:
            raise CommandError(f"{read} files read, {len(findings)} findings")
        if not options["json"]:
            self.stdout.write(f"{read} files read, all as they were added")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [row.as_json() for row in list_assets()]
        if options["json"]:
            self._print_json(rows)
            return
        for line in asset_table(rows):
            self.stdout.write(line)

    def _remove(self, options: Mapping[str, Any]) -> None:
        removed = remove_asset(options["path"], is_forced=options["force"])
        if options["json"]:
            self._print_json({"removed": removed.as_json() if removed else None})
            return
        self.stdout.write(f"removed {options['path']}")

    def _print_json(self, document: object) -> None:
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))


def _single(options: Mapping[str, Any]) -> Incoming:
    return Incoming(
        source=options["source"],
        path=options["path"],
        kind=options["kind"],
        version=options["asset_version"],
        sha512=options["sha512"],
        signature=options["signature"],
    )


def _release(options: Mapping[str, Any]) -> Sequence[Incoming]:
    for name in ("sha512", "signature", "kind"):
        if options[name]:
            raise CommandError(f"--{name} is about one file, not about a folder")
    return files_of_release(
        options["source"], path=options["path"], version=options["asset_version"]
    )


def _line(one: Added) -> str:
    asset = one.asset
    signature = f", signature {asset.signature.state}" if asset.signature else ""
    return f"{one.outcome}: {asset.path} ({asset.kind}, {asset.size} bytes{signature})"
