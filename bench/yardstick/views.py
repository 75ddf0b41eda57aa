"""The bare view: takes the body, reads one row by an indexed column, writes one row."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from bench.yardstick.models import Mark


@csrf_exempt
def bare_report(request: HttpRequest, mac: str) -> JsonResponse:
    """As a report would be without any rule of the engine."""
    mark = Mark.objects.get(mac=mac)
    Mark.objects.filter(pk=mark.pk).update(size=len(request.body), seen_at=timezone.now())
    return JsonResponse({"message": "Up-to-date"})
