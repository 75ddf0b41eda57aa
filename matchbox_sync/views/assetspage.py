"""The console's page of assets: what there is, what is not as it should be, who uses it."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from enjoliver.common.errors import EngineError
from matchbox_sync.assets.table import asset_cells, asset_titles
from matchbox_sync.services.assetuse import asset_uses, list_assets, missing_uses


def assets_page(request: HttpRequest) -> HttpResponse:
    """A table, read-only: files are added where they are, by `manage.py assets`."""
    if not request.user.has_perm("matchbox_sync.view_profileversion"):
        raise PermissionDenied
    context = {**admin.site.each_context(request), "title": "Assets"}
    uses = asset_uses()
    try:
        rows = [asset_cells(row.as_json()) for row in list_assets(uses)]
        context["missing"] = [f"{use.path}: {use}" for use in missing_uses(uses)]
    except (EngineError, OSError) as error:
        rows, context["failure"] = [], str(error)
    context["table"] = {"headers": asset_titles(), "rows": rows}
    return TemplateResponse(request, "admin/assets.html", context)
