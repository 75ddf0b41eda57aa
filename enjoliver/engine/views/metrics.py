"""`/metrics` for Prometheus."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from enjoliver.common.http import MachineView
from enjoliver.engine.metrics import exposition


class MetricsView(MachineView):
    """Counters of the web processes and gauges of the fleet."""

    @extend_schema(
        operation_id="read_metrics",
        summary="Prometheus metrics (names start with enjoliver_)",
        tags=["engine"],
        responses={(200, "text/plain"): {"type": "string"}},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
