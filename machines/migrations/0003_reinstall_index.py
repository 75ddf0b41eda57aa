"""Machines that were asked to install again are found without reading the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("machines", "0002_locations")]

    operations = [
        migrations.AddIndex(
            model_name="machine",
            index=models.Index(
                condition=models.Q(("reinstall_requested_at__isnull", False)),
                fields=["reinstall_requested_at"],
                name="machine_reinstalls",
            ),
        ),
    ]
