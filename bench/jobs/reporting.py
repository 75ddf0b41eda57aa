"""What one report asks of the database."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.test import Client

from bench.documents import make_document
from bench.jobs.counting import measure
from matchbox_sync.models import DesiredConfig


def count_queries() -> dict[str, Any]:
    """Statements of one report in its full and in its digest form, and of the yardstick."""
    mac, uuid, desired = DesiredConfig.objects.values_list(
        "machine__boot_mac", "machine__uuid", "sha512"
    ).first() or ("", "", "")
    bodies = {hashlib.sha512(body).hexdigest(): body for body in map(make_document, range(16))}
    report = f"/lifecycle/ignition/uuid={uuid}&mac={mac}&os=installed"
    calls = {
        "full": (report, bodies[desired]),
        "digest": (report, json.dumps({"sha512": desired}).encode()),
        "yardstick": (f"/yardstick/{mac}", b""),
    }
    client = Client(headers={"host": "127.0.0.1"})
    answers = {}
    for name, (path, body) in calls.items():
        client.post(path, body, content_type="application/json")  # the first one warms caches
        with measure() as cost:
            answer = client.post(path, body, content_type="application/json")
        answers[name] = {
            "status": answer.status_code,
            "queries": cost.queries,
            "writes": cost.writes,
            "statements": cost.statements,
        }
    return answers
