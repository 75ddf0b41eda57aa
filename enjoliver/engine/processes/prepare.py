"""Makes state directory and database ready, before any process of the engine looks at them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection, connections

from enjoliver.engine.operators import FirstOperator, ensure_first_operator
from enjoliver.engine.processes.config import RunConfig
from enjoliver.engine.processes.errors import CannotStart

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
    """Migrate and make sure that somebody can log in; leaves no connection open.

    Raises CannotStart when the database cannot be reached.
    """
    try:
        call_command("migrate", interactive=False, verbosity=0)
        _keep_private()
        return ensure_first_operator(
            state_dir=config.state_dir, configured_password=settings.ADMIN_PASSWORD
        )
    except OperationalError as error:
        raise CannotStart([f"The database cannot be used (DATABASE_URL): {error}"]) from error
    finally:
        connections.close_all()


def _keep_private() -> None:
    """SQLite's file holds password hashes; its side files get the same mode from SQLite."""
    if connection.vendor == "sqlite":
        Path(connection.settings_dict["NAME"]).chmod(0o600)
