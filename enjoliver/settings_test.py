"""Settings of the tests: a scratch state directory, a fast password hasher, no static look-ups."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("ENJOLIVER_STATE_DIR", tempfile.mkdtemp(prefix="enjoliver-test-"))

from enjoliver.settings import *  # noqa: F403 - the state directory must be set before

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT = ""
CELERY_BROKER_TRANSPORT_OPTIONS = {}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# A file, not memory: tests of races open several connections.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(STATE_DIR / "test.sqlite3")}  # noqa: F405
