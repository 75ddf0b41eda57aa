"""Django settings, all derived from the engine settings of `enjoliver.conf`."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import django_stubs_ext

from enjoliver import conf

django_stubs_ext.monkeypatch()

BASE_DIR = conf.BASE_DIR
CONFIGURED = conf.load()


def _value(name: str) -> Any:
    return CONFIGURED[name].value


def _kept_secret(name: str) -> str:
    """A secret that is generated once and kept in the state directory, mode 600."""
    path = STATE_DIR / name
    if not path.exists():
        STATE_DIR.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48) + "\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)  # the first process wins, all read the same secret
        draft.unlink()
    secret: str = path.read_text().strip()
    return secret


def _program(name: str, configured: str) -> str:
    built = BASE_DIR / ".cache" / "bin" / name
    return configured or (str(built) if built.exists() else shutil.which(name) or str(built))


# --- where things live -------------------------------------------------------------------------
STATE_DIR = (BASE_DIR / _value("ENJOLIVER_STATE_DIR")).resolve()
BIND = _value("ENJOLIVER_BIND")
API_URI = (_value("ENJOLIVER_API_URI") or f"http://{BIND}").rstrip("/")
MATCHBOX_BIND = _value("ENJOLIVER_MATCHBOX_BIND")
MATCHBOX_URLS = _value("ENJOLIVER_MATCHBOX_URLS") or [f"http://{MATCHBOX_BIND}"]
MATCHBOX_PATH = Path(_value("ENJOLIVER_MATCHBOX_PATH") or STATE_DIR / "matchbox")
MATCHBOX_BIN = _program("matchbox", _value("ENJOLIVER_MATCHBOX_BIN"))
BUTANE_BIN = _program("butane", _value("ENJOLIVER_BUTANE_BIN"))
ASSETS_PATH = Path(_value("ENJOLIVER_ASSETS_PATH") or MATCHBOX_PATH / "assets")
SSH_KEYS_PATH = Path(_value("ENJOLIVER_SSH_KEYS") or MATCHBOX_PATH / "ssh_authorized_keys")
SITE_TEMPLATES = _value("ENJOLIVER_TEMPLATES")
IGNITION_SNIPPETS = BASE_DIR / "templates" / "ignition" / "snippets"

# --- engine rules ------------------------------------------------------------------------------
SYNC_NOTIFY_TTL_SECONDS = _value("ENJOLIVER_SYNC_NOTIFY_TTL_SECONDS")
INSTALL_CONCURRENCY = _value("ENJOLIVER_INSTALL_CONCURRENCY")
INSTALL_DEADLINE_SECONDS = _value("ENJOLIVER_INSTALL_DEADLINE_SECONDS")
INSTALL_QUEUE_SECONDS = _value("ENJOLIVER_INSTALL_QUEUE_SECONDS")
FLEETLOCK_URL = _value("ENJOLIVER_FLEETLOCK_URL")
ROLLOUT_INTERVAL_SECONDS = _value("ENJOLIVER_ROLLOUT_INTERVAL_SECONDS")
GATE_FILES = Path(_value("ENJOLIVER_GATE_FILES") or STATE_DIR / "health-gates")
GATE_COMMANDS = _value("ENJOLIVER_GATE_COMMANDS")
DISK_BOOT = _value("ENJOLIVER_DISK_BOOT")
HISTORY_DAYS = _value("ENJOLIVER_HISTORY_DAYS")
NODE_NETWORKS = _value("ENJOLIVER_NODE_NETWORKS")
TRUSTED_PROXIES = _value("ENJOLIVER_TRUSTED_PROXIES")
ADMIN_PASSWORD = _value("ENJOLIVER_ADMIN_PASSWORD")
WEB_WORKERS = _value("ENJOLIVER_WEB_WORKERS")
WEB_THREADS = _value("ENJOLIVER_WEB_THREADS")
SYNC_INTERVAL_SECONDS = _value("ENJOLIVER_SYNC_INTERVAL_SECONDS")
SCHEDULE_INTERVAL_SECONDS = _value("ENJOLIVER_SCHEDULE_INTERVAL_SECONDS")

# --- Django ------------------------------------------------------------------------------------
SECRET_KEY = _value("ENJOLIVER_SECRET_KEY") or _kept_secret("secret-key")
DEBUG = _value("ENJOLIVER_DEBUG")
ALLOWED_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    BIND.rpartition(":")[0],
    urlsplit(API_URI).hostname or "localhost",
    *_value("ENJOLIVER_ALLOWED_HOSTS"),
]
CSRF_TRUSTED_ORIGINS = [API_URI]
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_prometheus",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "enjoliver.common",
    "machines",
    "scheduling",
    "matchbox_sync",
    "lifecycle",
    "enjoliver.engine",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "enjoliver.middleware.guard",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "enjoliver.middleware.ConsoleSession",
    "enjoliver.middleware.ConsoleCsrf",
    "enjoliver.middleware.ConsoleAuthentication",
    "enjoliver.middleware.ConsoleMessages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "enjoliver.middleware.RequestMetrics",
]
ROOT_URLCONF = "enjoliver.urls"
WSGI_APPLICATION = "enjoliver.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "enjoliver.common.formats"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / ".cache" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
LOGIN_URL = "/admin/login/"
CSRF_FAILURE_VIEW = "enjoliver.engine.errors.csrf_failure"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

# --- database ----------------------------------------------------------------------------------
_SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": STATE_DIR / "enjoliver.sqlite3",
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",  # deferred ones fail when they upgrade to a write
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        "PRAGMA cache_size=-65536; PRAGMA mmap_size=268435456; PRAGMA journal_size_limit=67108864;",
    },
}
# A server that is cut off (its machine or the network is gone) must not hold all web threads: each
# request waits this long at most. The URL's own options win, e.g. ?connect_timeout=10.
_POSTGRES_PATIENCE = {
    "connect_timeout": 3,  # seconds
    "keepalives_idle": 5,  # seconds, then three probes two seconds apart
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}


def _database(url: str) -> dict[str, Any]:
    """Django's settings of the database behind `url`; SQLite in the state directory without one."""
    if not url:
        return {**_SQLITE, "CONN_MAX_AGE": None}
    parsed: dict[str, Any] = {
        **dj_database_url.parse(url, conn_max_age=600, conn_health_checks=True)
    }
    if parsed["ENGINE"].endswith(".postgresql"):
        parsed["OPTIONS"] = _POSTGRES_PATIENCE | parsed.get("OPTIONS", {})
    return parsed


DATABASES: dict[str, Any] = {"default": _database(_value("DATABASE_URL"))}

# --- queue and cache ---------------------------------------------------------------------------
_BROKER_URL = _value("ENJOLIVER_BROKER_URL")
_QUEUE_DIR = STATE_DIR / "queue"
if _BROKER_URL:
    CELERY_BROKER_URL = _BROKER_URL
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "visibility_timeout": 600,
    }
    CACHES: dict[str, Any] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": _BROKER_URL,
        }
    }
else:
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT = "enjoliver.common.filequeue:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_QUEUE_DIR / "messages"),
        "data_folder_out": str(_QUEUE_DIR / "messages"),
        "control_folder": str(_QUEUE_DIR / "control"),
        "polling_interval": 0.25,
    }
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "enjoliver"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    # `expires`: after a pause of the worker only the newest message of each kind is run.
    "schedule": {
        "task": "scheduling.tasks.run_scheduler",
        "schedule": SCHEDULE_INTERVAL_SECONDS,
        "options": {"expires": SCHEDULE_INTERVAL_SECONDS},
    },
    "sync": {
        "task": "matchbox_sync.tasks.run_sync",
        "schedule": SYNC_INTERVAL_SECONDS,
        "options": {"expires": SYNC_INTERVAL_SECONDS},
    },
    "gates": {
        "task": "lifecycle.tasks.end_stalled_installs",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "rollouts": {
        "task": "lifecycle.tasks.advance_rollouts",
        "schedule": ROLLOUT_INTERVAL_SECONDS,
        "options": {"expires": ROLLOUT_INTERVAL_SECONDS},
    },
    "health-gates": {
        "task": "lifecycle.tasks.check_health_gates",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "machines": {
        "task": "lifecycle.tasks.look_after_machines",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "heartbeat": {
        "task": "enjoliver.engine.tasks.beat_worker",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "prune": {
        "task": "enjoliver.engine.tasks.prune",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
}

# --- API ---------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "enjoliver.engine.openapi.EngineSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.BasicAuthentication",
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "EXCEPTION_HANDLER": "enjoliver.common.http.drf_exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Enjoliver",
    "DESCRIPTION": "Deploys and maintains Kubernetes clusters on bare metal.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SORT_OPERATIONS": True,
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["enjoliver.engine.openapi.plain_paths"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "enjoliver.engine.openapi.common_components",
    ],
}

# --- console -----------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "Enjoliver",
    "SITE_HEADER": "Enjoliver",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_SYMBOL": "dns",
    "SHOW_HISTORY": True,
    "DASHBOARD_CALLBACK": "enjoliver.engine.dashboard.dashboard_callback",
    "SIDEBAR": {"navigation": "enjoliver.engine.navigation.navigation"},
}

# --- metrics -----------------------------------------------------------------------------------
PROMETHEUS_METRIC_NAMESPACE = "enjoliver"
PROMETHEUS_EXPORT_MIGRATIONS = False

# --- logging -----------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        # /healthz answers 503 each second while something is away: no line of the log.
        "bugs": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: record.exc_info is not None,
        },
    },
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": _value("ENJOLIVER_LOG_LEVEL")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        # Refused requests are counted in the metrics; a line each would be a log to fill.
        "django.request": {"level": "ERROR", "filters": ["bugs"]},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
