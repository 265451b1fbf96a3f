"""The cache in files, asked by several real processes at the same moment."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings

from arena.file_cache import FileCache
from tests.served import ROOT, until

PROCESSES, KEYS = 5, 200

# Each process says that it is there, waits for the others, and does its work.
BEGIN = """
import sys, time
from pathlib import Path
from arena.file_cache import FileCache

folder, me = Path(sys.argv[1]), sys.argv[2]
cache = FileCache(str(folder / "cache"), {})
(folder / f"ready-{me}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
"""
ADD = "print(*(n for n in range(int(sys.argv[3])) if cache.add(f'key-{n}', me, 600)))"
COUNT = "print(*(cache.incr('count') for n in range(int(sys.argv[3]))))"


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(str(tmp_path / "cache"), {})


def at_once(folder: Path, work: str) -> list[list[int]]:
    """What each of the processes printed, all let go together."""
    command = [sys.executable, "-c", BEGIN + work, str(folder)]
    there = [
        subprocess.Popen([*command, str(one), str(KEYS)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for one in range(PROCESSES)
    ]
    try:
        until(lambda: len(list(folder.glob("ready-*"))) == PROCESSES, "all processes are there")
        (folder / "go").touch()
        said = [process.communicate(timeout=120)[0] for process in there]
    finally:
        for process in there:
            process.kill()
            process.wait()
    assert [process.returncode for process in there] == [0] * PROCESSES
    return [[int(word) for word in one.split()] for one in said]


def test_a_key_is_added_by_exactly_one_of_several_processes(cache: FileCache, tmp_path: Path):
    won = at_once(tmp_path, ADD)

    assert Counter(key for keys in won for key in keys) == dict.fromkeys(range(KEYS), 1)
    for winner, keys in enumerate(won):
        assert all(cache.get(f"key-{key}") == str(winner) for key in keys)  # what it added is there


def test_what_has_expired_is_added_by_one_too(cache: FileCache, tmp_path: Path):
    for key in range(KEYS):
        cache.set(f"key-{key}", "old", timeout=-1)

    won = at_once(tmp_path, ADD)

    assert sorted(key for keys in won for key in keys) == list(range(KEYS))


def test_no_step_of_a_count_is_lost(cache: FileCache, tmp_path: Path):
    cache.set("count", 0, 600)

    seen = at_once(tmp_path, COUNT)

    assert sorted(number for numbers in seen for number in numbers) == list(range(1, PROCESSES * KEYS + 1))
    assert cache.get("count") == PROCESSES * KEYS


def test_counting_on_leaves_the_end_as_it_is(cache: FileCache, tmp_path: Path):
    cache.set("count", 1, 600)
    cache.set("ever", 1, None)
    before = _end(cache, "count")

    assert (cache.incr("count"), cache.incr("ever", 5)) == (2, 6)

    assert _end(cache, "count") > before - 1  # Django would set it to five minutes from now
    assert cache.get("ever") == 6


def _end(cache: FileCache, key: str) -> float:
    with Path(cache._key_to_file(key)).open("rb") as file:
        return float(cache._end(file) or 0.0)


def test_what_is_not_there_or_over_is_not_counted_on(cache: FileCache):
    cache.set("over", 1, timeout=-1)

    for key in ("nothing", "over"):
        with pytest.raises(ValueError, match="not found"):
            cache.incr(key)


def test_an_expired_entry_is_no_entry(cache: FileCache):
    cache.set("over", 1, timeout=-1)

    assert cache.get("over") is None
    assert not cache.has_key("over")
    assert cache.add("over", 2, 600)
    assert cache.get("over") == 2
    assert not cache.add("over", 3, 600)


def test_clearing_leaves_the_lock_and_nothing_else(cache: FileCache, tmp_path: Path):
    cache.add("one", 1)
    cache.clear()

    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["lock"]
    assert cache.add("one", 1)


def test_it_is_the_cache_where_there_is_no_redis():
    if settings.REDIS_URL:
        pytest.skip("Redis is the cache here.")
    assert settings.CACHES["default"]["BACKEND"] == "arena.file_cache.FileCache"
