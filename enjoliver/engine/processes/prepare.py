"""Makes state directory and database ready, before any process of the engine looks at them."""

from __future__ import annotations

import shutil
from contextlib import suppress

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from enjoliver.engine.operators import FirstOperator, ensure_first_operator
from enjoliver.engine.processes.config import RunConfig

# matchbox lists these at each request; it makes none of them itself.
_MATCHBOX_FOLDERS = ("groups", "profiles", "ignition", "generic", "cloud")


def prepare_folders(config: RunConfig) -> None:
    """Folders of the state directory and of matchbox; the shared counters start empty."""
    shutil.rmtree(config.metrics_dir, ignore_errors=True)
    for folder in (config.logs_dir, config.metrics_dir, config.assets_path):
        folder.mkdir(parents=True, exist_ok=True)
    for name in _MATCHBOX_FOLDERS:
        (config.matchbox_path / name).mkdir(parents=True, exist_ok=True)
    # Asked for by the static files' middleware; it serves from the packages when this is empty.
    with suppress(OSError):  # an installed engine may stand on a read-only disk
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


def prepare_database(config: RunConfig) -> FirstOperator:
    """Migrate and make sure that somebody can log in; leaves no connection open."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
        return ensure_first_operator(
            state_dir=config.state_dir, configured_password=settings.ADMIN_PASSWORD
        )
    finally:
        connections.close_all()
