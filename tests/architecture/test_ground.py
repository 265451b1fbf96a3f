"""What conftest.py promises every other test."""

import os
import tempfile
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from arena.models import Arena


def test_tests_write_into_a_temporary_folder_and_never_into_var():
    ours = Path(tempfile.gettempdir()).resolve()

    folders = [
        settings.DATA_DIR,
        settings.CACHE_DIR,
        settings.MEDIA_ROOT,
        settings.MODELS_DIR,
        settings.RUNS_DIR,
        settings.DATA_SETS_DIR,
        settings.BROKER_DIR,
    ]

    assert [folder for folder in folders if ours not in folder.resolve().parents] == []


@pytest.mark.services
@pytest.mark.django_db
def test_the_test_database_is_not_the_installations():
    assert not Arena.objects.exists()

    assert "test" in str(connection.settings_dict["NAME"])
    assert connection.settings_dict["NAME"] != settings.DATA_DIR / "db.sqlite3"


def test_this_process_keeps_its_data_where_no_other_does():
    """Test processes side by side: a data folder taken over from the one that began them would be shared."""
    assert str(settings.DATA_DIR) == os.environ["ARENA_DATA_DIR"]
