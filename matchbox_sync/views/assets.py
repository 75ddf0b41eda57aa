"""Files for the machines: kernels, initrds, agents. A path never leaves the assets."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from whitenoise.responders import StaticFile

from enjoliver.common.errors import NotFound
from enjoliver.common.http import MachineView, json_response

MAX_LISTED = 1000


def resolve_asset(path: str) -> Path:
    """The file behind an asset path; raises NotFound for anything outside or not a file.

    Symbolic links are followed, and count by where they lead.
    """
    root = settings.ASSETS_PATH.resolve()
    try:
        file = (root / path.lstrip("/")).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise NotFound(f"there is no asset {path[:200]!r}") from error
    if not file.is_relative_to(root) or not file.is_file():
        raise NotFound(f"there is no asset {path[:200]!r}")
    return file


class AssetListView(MachineView):
    """What assets there are."""

    @extend_schema(
        operation_id="assets_list",
        responses={200: {"type": "array", "items": {"type": "string"}}},
        tags=["boot"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """The paths below /assets, at most a thousand."""
        root = settings.ASSETS_PATH
        names: list[str] = []
        for file in root.rglob("*") if root.is_dir() else ():
            if file.is_file() and len(names) < MAX_LISTED:
                names.append(file.relative_to(root).as_posix())
        return json_response(sorted(names))


class AssetView(MachineView):
    """One asset, streamed; ranges (RFC 9110 §14) and conditional requests are answered."""

    @extend_schema(
        operation_id="assets_read",
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            304: None,
            (404, "application/json"): OpenApiTypes.OBJECT,
            416: None,
        },
        tags=["boot"],
    )
    def get(self, request: HttpRequest, path: str) -> HttpResponseBase:
        """The file's bytes."""
        file = resolve_asset(path)
        stat = file.stat()
        static = StaticFile(
            str(file),
            [
                ("Content-Type", "application/octet-stream"),
                ("Accept-Ranges", "bytes"),
                ("ETag", f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'),
            ],
        )
        answer = static.get_response(request.method or "GET", request.META)
        if answer.file is None:
            response: HttpResponseBase = HttpResponse(status=int(answer.status))
        else:
            response = FileResponse(answer.file, status=int(answer.status))
        for name, value in answer.headers:
            response[name] = value
        return response
