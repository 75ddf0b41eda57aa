"""Where machines stand: imported lists, and what follows for each machine."""

from dataclasses import asdict

import django.db.models.deletion
from django.db import migrations, models

from machines.topology import locate


def locate_machines(apps, schema_editor):
    """The machines that are there already, from their labels, switches and names."""
    machine, interface, port, row = (
        apps.get_model("machines", name)
        for name in ("Machine", "Interface", "ChassisPort", "MachineLocation")
    )
    keys = list(machine.objects.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), 500):
        batch = keys[start : start + 500]
        boots = interface.objects.filter(machine__in=batch, is_boot=True)
        names = dict(boots.values_list("machine_id", "fqdn"))
        switches = {}
        ports = port.objects.filter(interface__machine__in=batch)
        columns = ("interface__machine_id", "chassis__name", "chassis__chassis_id")
        for pk, name, chassis_id in ports.values_list(*columns):
            switches.setdefault(pk, []).append(name or chassis_id)
        labels = machine.objects.filter(pk__in=batch).values_list("pk", "labels")
        places = {
            pk: locate(chassis_names=switches.get(pk, ()), labels=words, fqdn=names.get(pk) or "")
            for pk, words in labels
        }
        row.objects.bulk_create(row(machine_id=pk, **asdict(one)) for pk, one in places.items())


class Migration(migrations.Migration):
    dependencies = [
        ("machines", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportedLocation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("site", models.CharField(blank=True, default="", max_length=120)),
                ("row", models.CharField(blank=True, default="", max_length=120)),
                ("rack", models.CharField(blank=True, default="", max_length=120)),
                ("chassis", models.CharField(blank=True, default="", max_length=120)),
                (
                    "key",
                    models.CharField(
                        help_text="The machine: one of its MACs, its UUID, its serial number or its name.",
                        max_length=253,
                        unique=True,
                    ),
                ),
                ("imported_at", models.DateTimeField()),
                ("imported_by", models.CharField(blank=True, default="", max_length=150)),
            ],
            options={
                "ordering": ["key"],
            },
        ),
        migrations.CreateModel(
            name="MachineLocation",
            fields=[
                ("site", models.CharField(blank=True, default="", max_length=120)),
                ("row", models.CharField(blank=True, default="", max_length=120)),
                ("rack", models.CharField(blank=True, default="", max_length=120)),
                ("chassis", models.CharField(blank=True, default="", max_length=120)),
                (
                    "machine",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="location",
                        serialize=False,
                        to="machines.machine",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["site", "row", "rack"], name="machine_location")],
            },
        ),
        migrations.RunPython(locate_machines, migrations.RunPython.noop),
    ]
