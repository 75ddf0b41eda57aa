"""The one site's install gate and the FleetLock group that always exists."""

from django.db import migrations


def create_defaults(apps, schema_editor):
    apps.get_model("lifecycle", "InstallGate").objects.get_or_create(site="default")
    apps.get_model("lifecycle", "LockGroup").objects.get_or_create(
        name="default", defaults={"slots": 1}
    )


class Migration(migrations.Migration):
    dependencies = [("lifecycle", "0001_initial")]

    operations = [migrations.RunPython(create_defaults, migrations.RunPython.noop)]
