"""`manage.py machine show|reinstall`: one machine's facts, and its reinstall, from a shell."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from enjoliver.common.times import rfc3339
from machines.locations import locations_of
from machines.lookup import find_named_machine
from machines.models import ChassisPort, Interface, Machine
from machines.services import request_reinstall
from machines.text import has_control_characters

_LONGEST_REASON = 200


class Command(BaseCommand):
    """What the console's page of a machine shows and asks, without a console."""

    help = "Show a machine's facts, or have it install itself again at its next boot."

    def add_arguments(self, parser: CommandParser) -> None:
        """The two sub-commands; a machine goes by MAC, UUID, serial number or name."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="what it reported, and where it stands")
        show.add_argument("--json", action="store_true", help="as JSON")
        again = verbs.add_parser("reinstall", help="install it again at its next network boot")
        again.add_argument("--reason", required=True, help="why; kept with who asked")
        again.add_argument("--force", action="store_true", help="also what would do harm")
        for verb in (show, again):
            verb.add_argument("machine", metavar="MACHINE", help="MAC, UUID, serial or name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        try:
            machine = find_named_machine(options["machine"])
            getattr(self, f"_{options['verb']}")(machine, options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _show(self, machine: Machine, options: Mapping[str, Any]) -> None:
        facts = describe(machine)
        if options["json"]:
            self.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False))
            return
        for name, value in facts.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            self.stdout.write(f"{name} = {text}")

    def _reinstall(self, machine: Machine, options: Mapping[str, Any]) -> None:
        reason = options["reason"].strip()
        if not reason or len(reason) > _LONGEST_REASON or has_control_characters(reason):
            raise CommandError(f"--reason: 1 to {_LONGEST_REASON} characters on one line")
        actor = f"{getpass.getuser()} (command line)"
        request_reinstall(machine=machine, actor=actor, reason=reason, is_forced=options["force"])
        self.stdout.write(f"{machine} installs itself again at its next network boot.")


def describe(machine: Machine) -> dict[str, Any]:
    """Facts of a machine by name, as texts, null and lists of objects."""
    location = locations_of([machine.pk])[machine.pk]
    asked_at, installed_at = machine.reinstall_requested_at, machine.installed_at
    return {
        "uuid": machine.uuid,
        "mac": machine.boot_mac,
        "state": machine.state,
        "installed_at": rfc3339(installed_at) if installed_at else None,
        "reinstall_requested_at": rfc3339(asked_at) if asked_at else None,
        "product": machine.product,
        "serial": machine.serial,
        "site": location.site,
        "row": location.row,
        "rack": location.rack,
        "interfaces": [_interface(one) for one in machine.interfaces.all()],
        "disks": list(
            machine.disks.values("path", "size_bytes", "model", "serial", "is_rotational")
        ),
        "neighbours": [
            {"interface": port.interface.name, "chassis": str(port.chassis), "port": port.port_id}
            for port in ChassisPort.objects.filter(interface__machine=machine)
            .select_related("interface", "chassis")
            .order_by("interface_id")
        ],
    }


def _interface(one: Interface) -> dict[str, Any]:
    return {
        "name": one.name,
        "mac": one.mac,
        "address": one.cidrv4,
        "fqdn": one.fqdn,
        "is_boot": one.is_boot,
    }
