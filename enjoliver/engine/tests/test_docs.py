"""The pages on routes and metrics name what there is, and nothing else."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from enjoliver.common.leases import beat
from enjoliver.engine.metrics import exposition
from enjoliver.engine.routes import all_routes

DOCS = Path(settings.BASE_DIR) / "docs"


def test_every_route_is_in_the_page_on_the_api_and_no_other():
    text = (DOCS / "http-api.md").read_text()
    tables = "\n".join(line for line in text.splitlines() if line.startswith("| `/"))
    first = [line.split(" | ")[0] for line in tables.splitlines()]
    written = {rule for cell in first for rule in re.findall(r"`(/[^`]*)`", cell)}
    assert written == {route.rule.replace("<string:", "<") for route in all_routes()}


@pytest.mark.django_db
def test_every_metric_of_the_fleet_is_in_the_page_on_metrics_and_no_other():
    beat("worker")
    text = (DOCS / "metrics.md").read_text()
    written = set(re.findall(r"^\| `(enjoliver_\w+)`", text, re.MULTILINE))
    exposed = set(re.findall(r"^# TYPE (enjoliver_\w+) ", exposition().decode(), re.MULTILINE))
    assert written == {name for name in exposed if not name.startswith("enjoliver_django_")}


def test_alerts_use_metrics_that_exist():
    text = (DOCS / "metrics.md").read_text()
    table = set(re.findall(r"^\| `(enjoliver_\w+)`", text, re.MULTILINE))
    assert set(re.findall(r"expr: (enjoliver_\w+)", text)) <= table


def test_every_permission_of_the_engine_is_in_the_page():
    text = (DOCS / "http-api.md").read_text()
    for codename in ("view_settings", "export_backup", "shut_down"):
        assert f"`engine.{codename}`" in text
