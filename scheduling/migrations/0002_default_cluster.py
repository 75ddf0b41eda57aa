"""The cluster that machines join when nobody says otherwise: control plane of 3."""

from django.db import migrations


def create_default_cluster(apps, schema_editor):
    apps.get_model("scheduling", "Cluster").objects.get_or_create(
        name="default", defaults={"control_plane_size": 3}
    )


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0001_initial")]

    operations = [migrations.RunPython(create_default_cluster, migrations.RunPython.noop)]
