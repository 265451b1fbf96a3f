"""The job page is told of progress; without a place for a stream it asks."""

import pytest
from django.urls import reverse

from arena.models import Job
from arena.views import jobs, streams

EVENTS = "/jobs/events/"


@pytest.fixture(autouse=True)
def _no_stream_of_other_tests(monkeypatch):
    places = streams._Streams()
    for module in (streams, jobs):
        monkeypatch.setattr(module, "STREAMS", places)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by a second at each look, without waiting."""
    monkeypatch.setattr(streams.time, "sleep", lambda seconds: None)
    ticks = iter(range(10_000))
    return lambda: float(next(ticks))


@pytest.mark.django_db
def test_a_change_is_told_and_nothing_else(clock):
    marks = iter(["a", "a", "b", "b", "b"])
    assert streams.STREAMS.take()
    events = streams.changes(lambda: next(marks), clock=clock)
    try:
        said = iter(events)
        assert next(said) == b"retry: 2000\n\n"
        assert next(said) == b"event: changed\ndata: jobs\n\n"
    finally:
        events.close()
    assert streams.STREAMS.open == 0


def test_a_silent_stream_shows_that_it_lives_and_ends(clock):
    assert streams.STREAMS.take()
    events = streams.changes(lambda: "same", clock=clock)
    said = list(events)
    events.close()
    events.close()  # the server may close twice

    assert said[0] == b"retry: 2000\n\n"
    assert set(said[1:]) == {b": still here\n\n"}
    assert streams.STREAMS.open == 0


@pytest.mark.django_db(transaction=True)
def test_streams_are_bounded_and_a_place_that_was_never_used_is_given_back(sign_in, grace, settings):
    settings.JOB_STREAMS = 1
    browser = sign_in(grace)

    first = browser.get(EVENTS)
    assert first.status_code == 200
    assert first["Content-Type"] == "text/event-stream"
    assert browser.get(EVENTS).status_code == 204

    first.close()
    second = browser.get(EVENTS)
    assert second.status_code == 200
    second.close()
    assert streams.STREAMS.open == 0


@pytest.mark.django_db(transaction=True)
def test_only_those_who_are_signed_in_have_a_stream(client, sign_in, grace):
    assert client.get(EVENTS).status_code == 302
    assert sign_in(grace).post(EVENTS).status_code == 405
    assert streams.STREAMS.open == 0


@pytest.mark.django_db
def test_the_page_says_how_long_it_takes_and_that_nobody_listens(sign_in, grace, open_arena):
    Job.objects.create(kind=Job.Kind.TRAIN, title="Waits", arena=open_arena)

    page = sign_in(grace).get(reverse("jobs")).content.decode()

    assert "No worker has listened to the queue train yet." in page
    assert f'data-events="{EVENTS}"' in page
