"""Files for the machines: kernels, initrds, agents. A path never leaves the assets."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from whitenoise.responders import SlicedFile

from enjoliver.common.errors import InvalidInput, NotFound
from enjoliver.common.http import MachineView, json_response
from matchbox_sync.assets.naming import is_hidden
from matchbox_sync.ranges import ByteRange, NotSatisfiable, read_range

MAX_LISTED = 1000
_TYPE = "application/octet-stream"


def resolve_asset(path: str) -> Path:
    """The file behind an asset path; raises NotFound for anything outside or not a file.

    Symbolic links are followed, and count by where they lead. Hidden names are not served: the
    manifest, and files that are being written.
    """
    if is_hidden(path):
        raise NotFound(f"there is no asset {path[:200]!r}")
    try:
        file = (settings.ASSETS_PATH / path.lstrip("/")).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise NotFound(f"there is no asset {path[:200]!r}") from error
    if not _is_asset(file):
        raise NotFound(f"there is no asset {path[:200]!r}")
    return file


def _is_asset(file: Path) -> bool:
    """Whether this is a file below the assets, also behind links, that has no hidden name."""
    root = settings.ASSETS_PATH.resolve()
    real = file.resolve()
    return (
        file.is_file() and real.is_relative_to(root) and not is_hidden(str(real.relative_to(root)))
    )


class _PartResponse(FileResponse):
    """A part of a file. A server that must read it shall not do so in 4 KiB pieces."""

    block_size = 128 * 1024


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
            name = file.relative_to(root).as_posix()
            if len(names) < MAX_LISTED and not is_hidden(name) and _is_asset(file):
                names.append(name)
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
            (416, "application/json"): OpenApiTypes.OBJECT,
        },
        tags=["boot"],
    )
    def get(self, request: HttpRequest, path: str) -> HttpResponseBase:
        """The file's bytes."""
        file = resolve_asset(path)
        stat = file.stat()
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"',
            "Last-Modified": http_date(stat.st_mtime),
        }
        unchanged = get_conditional_response(
            request, headers["ETag"], int(stat.st_mtime), HttpResponse(headers=headers)
        )
        if unchanged and unchanged.status_code == 304:
            return unchanged
        if request.method == "HEAD":  # a range is asked for with GET only (RFC 9110 §14.2)
            headers["Content-Length"] = str(stat.st_size)
            return HttpResponse(content_type=_TYPE, headers=headers)
        part = _wanted_part(request, headers, stat.st_size)
        if part is None:
            return FileResponse(file.open("rb"), content_type=_TYPE, headers=headers)
        sliced = SlicedFile(file.open("rb"), part.first, part.last)
        answer = _PartResponse(sliced, status=206, content_type=_TYPE, headers=headers)
        answer["Content-Length"] = str(part.length)
        answer["Content-Range"] = f"bytes {part.first}-{part.last}/{stat.st_size}"
        return answer


def _wanted_part(request: HttpRequest, headers: dict[str, str], size: int) -> ByteRange | None:
    """The part asked for; None for the whole file. Raises InvalidInput (416) beyond the end.

    A part of another version than the one that `If-Range` names would spoil a download that was
    broken off: then it is the whole file (RFC 9110 §13.1.5).
    """
    version = request.headers.get("If-Range")
    if version not in (None, headers["ETag"], headers["Last-Modified"]):
        return None
    try:
        return read_range(request.headers.get("Range", ""), size)
    except NotSatisfiable as error:
        raise InvalidInput(
            str(error),
            kind="range_not_satisfiable",
            status_code=416,
            headers={"Content-Range": f"bytes */{size}"},
        ) from error
