"""Django's settings. Every variable is read through arena/env.py and listed in docs/settings.md."""

import contextlib
import secrets
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from kombu import Exchange, Queue

from arena import catalogues, env, outbound

BASE_DIR = Path(__file__).resolve().parent.parent

# Everything this installation writes: database, files, models, the queue's folder.
DATA_DIR = env.folder("ARENA_DATA_DIR", BASE_DIR / "var")
# Models that any checkout on this machine can share (the demo's checkpoints).
CACHE_DIR = env.folder("ARENA_CACHE_DIR", Path("~/.cache/preference-arena").expanduser())
MEDIA_ROOT = env.folder("ARENA_MEDIA_DIR", DATA_DIR / "media")
MODELS_DIR = env.folder("ARENA_MODELS_DIR", DATA_DIR / "models")
DATA_SETS_DIR = env.folder("ARENA_DATA_SETS_DIR", DATA_DIR / "data-sets")
RUNS_DIR = env.folder("ARENA_RUNS_DIR", DATA_DIR / "runs")
for path in (DATA_DIR, MEDIA_ROOT, MODELS_DIR, DATA_SETS_DIR, RUNS_DIR):
    path.mkdir(parents=True, exist_ok=True)

DEBUG = env.switch("ARENA_DEBUG", False)
PUBLIC_URL = env.text("ARENA_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = env.words("ARENA_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]


def _kept_secret_key() -> str:
    """The key of this installation: made at the first start and kept beside the database."""
    file = DATA_DIR / "secret-key"
    if not file.exists():
        # Whole or not at all: several processes may be starting for the first time.
        draft = DATA_DIR / f"secret-key-{secrets.token_hex(8)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)
        draft.unlink()
    return file.read_text()


SECRET_KEY = env.text("ARENA_SECRET_KEY") or _kept_secret_key()
SECRET_KEY_FALLBACKS = env.words("ARENA_SECRET_KEY_FALLBACKS", [])

INSTALLED_APPS = [
    "arena",
    "annotation",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "arena.views.language.Language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "arena.views.problems.ArenaErrorPages",
]

ROOT_URLCONF = "arena.urls"
WSGI_APPLICATION = "arena.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

# SQLite takes its write lock at BEGIN (IMMEDIATE): a transaction that reads and then
# writes would otherwise fail with "database is locked" when two meet.
DATABASES = {
    "default": dj_database_url.parse(
        env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}"),
        conn_max_age=600,
        conn_health_checks=True,
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = False
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=134217728;"
            "PRAGMA journal_size_limit=27103364; PRAGMA cache_size=-20000; PRAGMA temp_store=MEMORY;"
        ),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.text("REDIS_URL")
if REDIS_URL:
    CACHES: dict[str, Any] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "arena",
        }
    }
else:
    # Files, so that limits on sign-in hold across processes. Only such limits are kept here.
    CACHES = {
        "default": {
            "BACKEND": "arena.file_cache.FileCache",
            "LOCATION": str(DATA_DIR / "cache"),
            "OPTIONS": {"MAX_ENTRIES": 10_000},
        }
    }

# The job row is the truth and a message only a doorbell: see docs/architecture.md.
JOB_LEASE_SECONDS = env.number("ARENA_JOB_LEASE_SECONDS", 60)
JOB_BEAT_SECONDS = env.number("ARENA_JOB_BEAT_SECONDS", 10)
JOB_REAP_SECONDS = env.number("ARENA_JOB_REAP_SECONDS", 15)
JOB_ATTEMPTS = env.number("ARENA_JOB_ATTEMPTS", 3)
# Work without progress for so long hangs, however alive its process: it goes to another worker.
JOB_HANG_SECONDS = env.number("ARENA_JOB_HANG_SECONDS", 1800)
JOB_HANG_GRACE_SECONDS = env.number("ARENA_JOB_HANG_GRACE_SECONDS", 30)
# Pages that are told of progress as it happens, per web process; each holds one of its threads.
JOB_STREAMS = env.number("ARENA_JOB_STREAMS", 2)

BROKER_DIR = DATA_DIR / "queue"
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = [
    Queue(name, Exchange(name), routing_key=name) for name in ("default", "generate", "train")
]
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
# Acknowledged when taken: the row's lease takes the message's place, and knows better (docs/reliability.md).
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_ROUTES = {
    "gpu_workers.tasks.generate": {"queue": "generate"},
    "gpu_workers.tasks.train": {"queue": "train"},
    "gpu_workers.tasks.build_demo_models": {"queue": "train"},
}
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    # The same number in all three places, or the shortest that any of them knows wins.
    VISIBILITY_SECONDS = 900
    CELERY_VISIBILITY_TIMEOUT = VISIBILITY_SECONDS
    CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"visibility_timeout": VISIBILITY_SECONDS}
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "visibility_timeout": VISIBILITY_SECONDS,
        # Looks for messages of workers that died every 10 seconds; the default is every 100.
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "retry_on_timeout": True,
        "global_keyprefix": "arena:",
    }
else:
    for name in ("messages", "control"):
        (BROKER_DIR / name).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_URL = "filesystem://localhost"
    CELERY_BROKER_TRANSPORT = "arena.queue_folder:Transport"
    # Nobody listens for remote commands here, and each listener polls the folder.
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR / "messages"),
        "data_folder_out": str(BROKER_DIR / "messages"),
        "control_folder": str(BROKER_DIR / "control"),
        "polling_interval": 0.1,
    }

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ALLOW_SIGN_UP = env.switch("ARENA_ALLOW_SIGN_UP", False)
ACCOUNT_ADAPTER = "arena.accounts.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_USERNAME_BLACKLIST = ["admin", "staff", "root"]
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False

# Sign-in through an organisation's own provider (OpenID Connect), beside passwords.
SOCIALACCOUNT_ADAPTER = "arena.accounts.SocialAccountAdapter"
# A local account is never taken over because an address is the same.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
OIDC_ISSUER = env.web_address("ARENA_OIDC_ISSUER")
OIDC_NAME = env.text("ARENA_OIDC_NAME", "single sign-on")
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
if OIDC_ISSUER:
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": env.text("ARENA_OIDC_CLIENT_ID"),
                "secret": env.text("ARENA_OIDC_CLIENT_SECRET"),
                "settings": {"server_url": OIDC_ISSUER},
            }
        ],
    }

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = env.text("ARENA_EMAIL_FROM", "Preference Arena <arena@localhost>")
globals().update(env.mail("ARENA_EMAIL_URL"))
EMAIL_BACKEND = env.text("ARENA_EMAIL_BACKEND", EMAIL_BACKEND)

SESSION_COOKIE_AGE = 60 * 60 * 24 * 180
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
# Docker and load balancers ask over plain HTTP inside their own network.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if env.switch("ARENA_BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Limits on sign-in count the visitor's address, not the proxy's.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "media-src": [SELF],
        "connect-src": [SELF],
        # Browsers hold redirects of a form to this too, and "sign in with …" is one.
        "form-action": [SELF, *(["/".join(OIDC_ISSUER.split("/")[:3])] if OIDC_ISSUER else [])],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "arena.api.errors.answer",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Preference Arena",
    "DESCRIPTION": "Battles, votes, leaderboards, data sets and training runs of your own arena.",
    "VERSION": "v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [catalogues.compiled(catalogues.SOURCES, DATA_DIR / "locale")]
FORMAT_MODULE_PATH = "arena.formats"
LANGUAGE_COOKIE_AGE = 60 * 60 * 24 * 365
LANGUAGE_COOKIE_SECURE = HTTPS
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_URL = "media/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "arena.static_files.HashedStaticFiles"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# Where a contestant's endpoint may live: the hosts that leads and staff may name
# ("*" allows every public host).
ENDPOINT_HOSTS = env.words("ARENA_ENDPOINT_HOSTS", ["127.0.0.1", "localhost"])
# Which models of the hub leads may name: "owner/name", "owner/*" or "*". Staff may name any.
HUB_MODELS = env.words("ARENA_HUB_MODELS", [])
# How many requests a worker has under way at one contestant's endpoint.
ENDPOINT_REQUESTS = env.number("ARENA_ENDPOINT_REQUESTS", 8)
# What every request to an address that somebody typed keeps to: outbound.Rules(hosts=…, **OUTBOUND).
OUTBOUND: dict[str, Any] = {
    "schemes": tuple(env.choices("ARENA_OUTBOUND_SCHEMES", ["http", "https"], options=["http", "https"])),
    "ports": tuple(env.ports("ARENA_OUTBOUND_PORTS", outbound.DEFAULT_PORTS)),
    "networks": tuple(env.networks("ARENA_OUTBOUND_NETWORKS", [])),
}

# Where webhooks may be sent. Leads name the addresses; "*" allows every public host.
WEBHOOK_HOSTS = env.words("ARENA_WEBHOOK_HOSTS", ["*"])

# A function that reads from a prompt's messages what answering it takes; see arena/services/routing.py.
PROMPT_ROUTER = env.text("ARENA_PROMPT_ROUTER")
# Steps of training of the demo's models; 0 is as long as their recipe says.
DEMO_STEPS = env.number("ARENA_DEMO_STEPS", 0)
# How many samples of a prompt are made for voters who have seen all others; 1 makes none.
TOP_UP_SAMPLES = env.number("ARENA_TOP_UP_SAMPLES", 4)

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": env.choice("ARENA_LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR"]),
    },
}
