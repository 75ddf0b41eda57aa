"""The real Ignition, applied to a scratch root: what a machine would do with a config."""

import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

PROGRAM = settings.BASE_DIR / ".cache" / "bin" / "ignition"


@contextmanager
def applied(document):
    """Run Ignition's fetch and files stages with `document` on a new root; yields the root."""
    with tempfile.TemporaryDirectory(prefix="ignition-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Ignition writes SSH keys as the user they belong to
        (folder / "config.ign").write_bytes(document)
        root = _make_root(folder / "root")
        for stage in ("fetch", "files"):
            _run(stage, root, folder)
        yield root


def _make_root(root):
    """A root with the user database that `useradd` needs."""
    for name in ("etc", "tmp"):
        (root / name).mkdir(parents=True)
    for name in ("passwd", "shadow", "gshadow"):
        (root / "etc" / name).touch()
    (root / "etc" / "group").write_text("root:x:0:\nusers:x:100:\n")
    return root


def _run(stage, root, folder):
    done = subprocess.run(
        [
            PROGRAM,
            "--platform=file",
            f"--stage={stage}",
            f"--root={root}",
            f"--config-cache={folder / 'cache'}",
            # By default in /run, where another run of Ignition would read it.
            f"--state-file={folder / 'state'}",
            f"--neednet={folder / 'neednet'}",
            "--log-to-stdout",
        ],
        env={**os.environ, "IGNITION_CONFIG_FILE": str(folder / "config.ign")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
