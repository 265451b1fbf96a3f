"""The ground every test stands on: its own folder, database and caches, whatever the shell has set.

Loaded by pytest before anything of Django. DATABASE_URL and REDIS_URL stay as the
caller gave them (`make test` runs the tests marked `services` on PostgreSQL and Redis);
every other variable of the product is put back to its default.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
IN_CI = os.environ.get("CI") == "true"


def _lay_ground() -> Path:
    """A fresh folder, and an environment that reads and writes nothing outside it."""
    ground = Path(tempfile.mkdtemp(prefix="arena-tests-"))
    owner = os.getpid()
    # A forked child must not take the folder with it when it ends.
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(ground, ignore_errors=True))
    for name in [name for name in os.environ if name.startswith("ARENA_")]:
        del os.environ[name]
    # Child processes are many, and need not compile the same modules each.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="arena.settings",
        ARENA_DATA_DIR=str(ground / "data"),
        ARENA_CACHE_DIR=str(ground / "cache"),
        # Plain file names for static files: no `collectstatic` before a test.
        ARENA_DEBUG="1",
        ARENA_LOG_LEVEL="WARNING",
        # Several test processes share few cores; more threads would only wait for each other.
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        TOKENIZERS_PARALLELISM="false",
        HF_HUB_OFFLINE="1",
        HF_HOME=str(ground / "hugging-face"),
    )
    (ground / "data" / "static").mkdir(parents=True)
    return ground


GROUND = _lay_ground()

# tests/conftest.py imports models, which pytest-django would make possible only later.
import django  # noqa: E402  (the environment comes first)

django.setup()

from django.conf import settings  # noqa: E402  (the environment comes first)

settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """A database of this process alone, in a file: threads and processes see it as they see a real one."""
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["TEST"]["NAME"] = str(GROUND / "test.sqlite3")
    else:
        database["TEST"]["NAME"] = f"test_arena_{os.getpid()}"


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    """What one test caches must not answer the next."""
    from django.core.cache import cache

    if not settings.REDIS_URL:
        cache.clear()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each test process lay a ground of its own.

    One that inherits this variable loads the settings before this file is read, and then keeps
    its data where this process does: what one test writes or clears would be another's.
    """
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say clearly what cannot run here; what takes longest begins first, beside all others.

    In CI nothing is left out but what needs a GPU.
    """
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    no_browser = pytest.mark.skip(reason="Chromium is not installed (Debian: apt-get install chromium).")
    no_gpu = pytest.mark.skip(reason="There is no NVIDIA GPU here.")
    for item in items:
        if item.get_closest_marker("browser") and not CHROMIUM and not IN_CI:
            item.add_marker(no_browser)
        if item.get_closest_marker("gpu") and not Path("/dev/nvidiactl").exists():
            item.add_marker(no_gpu)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is. In CI its absence is a failure, not a skip."""
    if not CHROMIUM:
        pytest.fail("Chromium is not installed, and CI must not leave the browser tests out.")
    return CHROMIUM
