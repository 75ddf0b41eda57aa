"""Settings of the tests: a scratch state directory, a fast password hasher, no static look-ups."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Each process of a parallel run has a state directory of its own; what tests start inherits it.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "only")
if os.environ.get("ENJOLIVER_TEST_WORKER") != _WORKER:
    os.environ["ENJOLIVER_TEST_WORKER"] = _WORKER
    os.environ["ENJOLIVER_STATE_DIR"] = tempfile.mkdtemp(prefix="enjoliver-test-")
    atexit.register(shutil.rmtree, os.environ["ENJOLIVER_STATE_DIR"], ignore_errors=True)

from enjoliver.settings import *  # noqa: E402, F403 - the state directory must be set before

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT = ""
CELERY_BROKER_TRANSPORT_OPTIONS = {}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# A file, not memory: tests of races open several connections.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(STATE_DIR / "test.sqlite3")}  # noqa: F405
else:  # fifty of them at once take longer on a busy computer than a request may wait
    _OPTIONS = DATABASES["default"].get("OPTIONS", {})  # noqa: F405
    DATABASES["default"]["OPTIONS"] = {**_OPTIONS, "connect_timeout": 60}  # noqa: F405

# WhiteNoise warns about a folder that is not there, and a fresh clone has none.
STATIC_ROOT = STATE_DIR / "static"  # noqa: F405
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
