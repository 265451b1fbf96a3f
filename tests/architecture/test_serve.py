"""`manage.py serve` with real processes: what it starts, it ends; what dies, it starts again."""

import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from arena.supervisor import Child, Supervisor
from tests.served import Served, ended, until

LIMIT = 120.0


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*options: str) -> Served:
        started.append(Served(tmp_path, "--no-demo", *options))
        return started[-1]

    yield start
    for served in started:
        served.kill()


def test_it_serves_with_workers_until_ctrl_c_and_leaves_no_process(serve):
    served = serve()
    until(lambda: f"Preference Arena is at {served.address}" in served.said(), "the address is shown")
    assert served.answers()
    family = served.family()
    queues = {
        re.findall(r"--queues (\w+)", " ".join(one.cmdline()))[0]
        for one in family
        if "celery" in one.cmdline()
    }
    assert queues == {"default", "generate", "train"}

    served.process.send_signal(signal.SIGINT)

    until(lambda: served.process.poll() is not None, "serve has ended")
    assert served.process.returncode == 0, served.said()
    assert "Stopped." in served.said()
    assert ended(family)
    assert not served.answers()


def test_a_second_server_on_the_same_folder_or_port_is_refused_in_words(serve):
    first = serve("--no-workers")
    until(first.answers, "the first answers")

    second = serve("--no-workers")
    assert second.process.wait(timeout=LIMIT) == 1
    assert "already being served" in second.said()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(timeout=LIMIT) == 0
        third = serve("--no-workers", "--port", str(taken.getsockname()[1]))
        assert third.process.wait(timeout=LIMIT) == 1
    assert re.search(r"Port \d+ on 127.0.0.1 cannot be used: .* make run PORT=8001", third.said())
    assert "Traceback" not in second.said() + third.said()


def test_what_dies_is_started_again_and_nothing_outlives_serve(serve):
    served = serve("--no-workers")
    until(served.answers, "it answers")
    web = psutil.Process(served.process.pid).children()[0]

    for one in [*web.children(), web]:
        one.kill()
    until(lambda: "The web process ended" in served.said(), "the death is seen")
    until(served.answers, "it answers again")

    family = served.family()
    assert web not in family
    served.process.kill()  # nobody is left to end the children
    served.process.wait(timeout=30)
    until(lambda: ended(family), "the children have ended too")


def test_a_vital_process_that_cannot_live_ends_the_whole():
    said: list[str] = []
    broken = Child("web", [sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ), vital=True)
    other = Child("worker", [sys.executable, "-c", "import time; time.sleep(600)"], dict(os.environ))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    try:
        assert not Supervisor([other, broken], said.append).run(lambda: None, seconds=0.05)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert other.process is not None
    assert other.process.poll() == -signal.SIGTERM
    assert said[0] == "The web process ended (exit status 3). It is started again in 1 s."
    assert said[-1] == "The web process ended 4 times in a row; the lines above say why."
