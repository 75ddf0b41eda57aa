"""docs/health-gates.md says what the code does."""

import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from lifecycle.health.kinds import SHAPES
from lifecycle.models import HealthGate, HealthGateKind, RollingPolicy
from lifecycle.services import apply_policy
from lifecycle.services.healthgates import gate_document

TEXT = (Path(settings.BASE_DIR) / "docs" / "health-gates.md").read_text()
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.django_db
def test_the_examples_can_be_applied():
    assert len(EXAMPLES) == 2
    for document in EXAMPLES:
        apply_policy(document=document, actor="ada")
    assert RollingPolicy.objects.count() == 2
    assert set(HealthGate.objects.values_list("kind", flat=True)) == set(HealthGateKind.values)


def test_every_field_of_every_kind_is_described():
    for kind, shape in SHAPES.items():
        section = TEXT.partition(f"### {kind}\n")[2].partition("\n##")[0]
        for name in shape.checks:
            assert f"`{name}`" in section, (kind, name)


def test_the_defaults_are_those_of_the_table():
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", TEXT.partition("## When")[0], re.MULTILINE)
    blank = gate_document(HealthGate())
    assert [name for name, _ in rows] == ["name", "kind", *list(blank)[2:]]
    for name, default in rows[2:]:
        assert default.strip(" `") == str(blank[name]).lower(), name
