"""Settings. Every secret and address comes from the environment; defaults are the embedded single-process set-up.

Embedded default: SQLite (WAL, synchronous FULL, IMMEDIATE transactions) and the in-memory channel layer, one process.
`DATABASE_URL`, `REDIS_URL` and `CHANNEL_LAYER` flip to PostgreSQL and Redis; `manage.py check` refuses mixes that
cannot be right (see `livesale/checks/`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import environ
from django.core.management.utils import get_random_secret_key
from django.utils.translation import gettext_lazy as _

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env("LIVESALE_DATA", default=str(BASE_DIR / "var")))

DEBUG = env.bool("DEBUG", default=False)
# A random key is safe but ends every session at restart: deployments set SECRET_KEY, the demo keeps one in var/.
# Secrets are read without `env`, which would take one that begins with $ for the name of another variable.
SECRET_KEY_GIVEN = bool(os.environ.get("SECRET_KEY"))
SECRET_KEY = os.environ.get("SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# scheme://host:port of every page that may open a socket or post a form with the session cookie
PUBLIC_ORIGINS: list[str] = env.list("PUBLIC_ORIGINS", default=[])
CSRF_TRUSTED_ORIGINS = PUBLIC_ORIGINS
BEHIND_TLS = env.bool("BEHIND_TLS", default=False)
SERVER_PROCESSES = env.int("SERVER_PROCESSES", default=1)
# Rules of `livesale/checks/` that this installation overrules, by id.
SILENCED_SYSTEM_CHECKS = env.list("SILENCED_SYSTEM_CHECKS", default=[])

INSTALLED_APPS = [
    "daphne",
    "livesale",
    "livesale.accounts",
    "chat",
    "commerce",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_vite",
    "allauth",
    "allauth.account",
    "allauth.headless",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "livesale.health.answer_probes",
    "livesale.logs.with_request_id",
    "django.middleware.security.SecurityMiddleware",
    "livesale.collected.Collected",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "livesale.rest.errors.DatabaseAway",
]

ROOT_URLCONF = "livesale.urls"
ASGI_APPLICATION = "livesale.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "livesale" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


# --- where data lives ---------------------------------------------------------------------------------------------


def _database() -> dict[str, Any]:
    config: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'livesale.sqlite3'}")
    config["CONN_MAX_AGE"] = 0
    if config["ENGINE"].endswith("sqlite3"):
        # FULL: an acknowledged order survives power loss. IMMEDIATE: a writer never fails half-way on the lock.
        config["OPTIONS"] = {
            "timeout": 10,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
    else:
        config["ENGINE"] = "livesale.postgres"
        # a database host that vanished without a word is noticed in seconds: the lane would wait for it for ever
        config.setdefault("OPTIONS", {}).update(
            connect_timeout=5,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
            # no, behind a pooler that gives every transaction another session
            prepares=env.bool("DATABASE_PREPARES", default=True),
        )
    return config


DATABASES = {"default": _database()}

# Requests that one process works on at a time: each has a thread and a connection to the database
REQUESTS_AT_ONCE = env.int("REQUESTS_AT_ONCE", default=12)

REDIS_URL = env("REDIS_URL", default="")
# memory | redis | pubsub | the dotted path of a class that takes the same hosts
CHANNEL_LAYER = env("CHANNEL_LAYER", default="pubsub" if REDIS_URL else "memory")


def _channel_layer(kind: str) -> dict[str, Any]:
    # redis-py 8 defaults socket_timeout to the length of the layer's blocking read and would cut idle processes.
    host = {"address": REDIS_URL, "socket_timeout": 15, "socket_connect_timeout": 3}
    layers: dict[str, dict[str, Any]] = {
        "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1000}},
        "redis": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [host], "capacity": 1000, "expiry": 20},
        },
        "pubsub": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [host]},
        },
    }
    return layers.get(kind) or {"BACKEND": kind, "CONFIG": {"hosts": [host]}}


CHANNEL_LAYERS = {"default": _channel_layer(CHANNEL_LAYER)}


def _cache() -> dict[str, Any]:
    # Rate limits only. Several processes count together in Redis; an outage of it must keep nobody from signing in.
    if not REDIS_URL:
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    timeouts = {"socket_timeout": 1, "socket_connect_timeout": 1}
    return {
        "BACKEND": "livesale.accounts.cache.LenientRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "livesale",
        "OPTIONS": timeouts,
    }


CACHES = {"default": _cache()}

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.exists() else []
# What was collected is all that is served where there is any: `make build` empties frontend/dist while the processes
# before it still serve, and collected files stay. Without `collectstatic` files are served from where they are.
WHITENOISE_USE_FINDERS = not any(STATIC_ROOT.iterdir())
DJANGO_VITE = {
    "default": {
        "dev_mode": env.bool("VITE_DEV", default=False),
        "manifest_path": FRONTEND_DIST / ".vite" / "manifest.json",
    }
}
MEDIA_URL = "/media/"
MEDIA_ROOT = DATA_DIR / "media"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- people -------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = env("ACCOUNT_EMAIL_VERIFICATION", default="optional")
ACCOUNT_ADAPTER = "livesale.accounts.adapter.AccountAdapter"
HEADLESS_ONLY = True
HEADLESS_CLIENTS = ("browser", "app")
HEADLESS_FRONTEND_URLS = {
    "account_confirm_email": "/account/verify/{key}",
    "account_reset_password": "/account/password/reset",  # nosec B105  # a path
    "account_reset_password_from_key": "/account/password/reset/{key}",  # nosec B105  # a path
    "account_signup": "/account/signup",
}
LOGIN_URL = "/account/login"
# How many of our own proxies stand before us. Only what they add to X-Forwarded-For is believed.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
CSRF_FAILURE_VIEW = "livesale.rest.errors.csrf_failure"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
X_FRAME_OPTIONS = "DENY"

# Video comes by URL from where the shop streams: MEDIA_ORIGINS lists those hosts for the content policy.
MEDIA_ORIGINS = env.list("MEDIA_ORIGINS", default=[])
FRAME_ORIGINS = env.list(
    "FRAME_ORIGINS", default=["https://www.youtube-nocookie.com", "https://player.vimeo.com"]
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:", *MEDIA_ORIGINS],
        "media-src": ["'self'", "blob:", *MEDIA_ORIGINS],
        "connect-src": ["'self'", *[o.replace("http", "ws", 1) for o in PUBLIC_ORIGINS], *MEDIA_ORIGINS],
        "frame-src": ["'self'", *FRAME_ORIGINS],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "object-src": ["'none'"],
    }
}

# --- language, time, mail -----------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("de", _("German")), ("zh-hans", _("Chinese (simplified)"))]
LOCALE_PATHS = [BASE_DIR / "livesale" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
# smtp://user:password@host:port, smtp+tls:// or smtp+ssl://; without it mails are printed
_mail: dict[str, Any] = env.email_url("EMAIL_URL", default="consolemail://")
EMAIL_BACKEND = env("EMAIL_BACKEND", default=_mail["EMAIL_BACKEND"])
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"] or "localhost", _mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"] or "", _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="livesale <no-reply@localhost>")

# --- REST ---------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "livesale.rest.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "livesale",
    "DESCRIPTION": "Every command and read of the live sale; what a socket can do, REST can do.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["livesale.rest.schema.expand_commands"],
    "POSTPROCESSING_HOOKS": ["livesale.rest.schema.add_components"],
}

# --- livesale -----------------------------------------------------------------------------------------------------

# Signs the sandbox gateway's webhooks. Never use the sandbox for real money.
LIVESALE_SANDBOX_SECRET = os.environ.get("LIVESALE_SANDBOX_SECRET") or SECRET_KEY
# Where strangers come it is there for whoever asks for it only.
LIVESALE_SANDBOX_ENABLED = env.bool("LIVESALE_SANDBOX_ENABLED", default=not BEHIND_TLS)

# How long things are kept, in days; `livesale/checks/` refuses what does not fit together.
# The log of a stream and the messages in it. 0: for ever.
KEEP_LOG_DAYS = env.int("KEEP_LOG_DAYS", default=365)
# Whom an order went to, after it was placed: as long as the law of your country wants it.
KEEP_CONTACTS_DAYS = env.int("KEEP_CONTACTS_DAYS", default=730)
# What repeated commands are answered from.
KEEP_RECEIPTS_DAYS = env.int("KEEP_RECEIPTS_DAYS", default=14)
# Who wants their account deleted may think again for so long.
ERASURE_GRACE_DAYS = env.int("ERASURE_GRACE_DAYS", default=7)
# The list of those who were erased: it must outlive the database.
ERASURES_FILE = env("ERASURES_FILE", default=str(DATA_DIR / "erasures.txt"))

# Who may read /metrics: whoever sends it as `Authorization: Bearer`. Empty: nobody.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")

# How frames leave: `direct` writes to daphne's and uvicorn's connections past their own send, `asgi` never does.
FRAME_WRITER = env("FRAME_WRITER", default="direct")

# line | json
LOG_FORMAT = env("LOG_FORMAT", default="line")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "livesale.logs.Line"}, "json": {"()": "livesale.logs.Json"}},
    "filters": {"clients_mistakes": {"()": "livesale.logs.ClientsMistakes"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {
        # the access log prints paths; one line per request is the proxy's work
        "django.channels.server": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "daphne.ws_protocol": {"filters": ["clients_mistakes"]},
        # no handlers of their own: what servers and libraries say has our form; who has come is not for the log
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"filters": ["clients_mistakes"], "level": "WARNING"},
        "uvicorn.access": {"handlers": [], "propagate": True, "level": "WARNING"},
        "django": {"handlers": [], "propagate": True, "level": "INFO"},
        "django.server": {"handlers": [], "propagate": True, "level": "WARNING"},
        # at DEBUG these print what people send, and SQL with it
        "django.db.backends": {"level": "INFO"},
        "websockets": {"level": "INFO"},
        "asyncio": {"level": "INFO"},
    },
}
