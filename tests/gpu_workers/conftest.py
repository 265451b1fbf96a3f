"""What the workers' tests share. One thread: the machine is small, and others test beside us."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gpu_workers import children
from gpu_workers.backends import breaker
from gpu_workers.demo.build import build
from tests.gpu_workers import small
from tests.nursery import Nursery


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny recipe's checkpoints: early, whole, tasted."""
    return build(small.TINY, tmp_path_factory.mktemp("models"), lambda event, **values: None)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery("gpu_workers.train", "gpu_workers.kwise.trainer", "gpu_workers.demo.build")
    yield made
    made.close()


@pytest.fixture
def loaded_children(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's child processes are born with PyTorch, which takes others seconds to load."""
    known = {name: getattr(subprocess, name) for name in ("DEVNULL", "PIPE", "TimeoutExpired")}
    monkeypatch.setattr(children, "subprocess", SimpleNamespace(**known, Popen=nursery.popen))


@pytest.fixture
def endpoint() -> Iterator[small.Endpoint]:
    with small.endpoint() as found:
        yield found


@pytest.fixture(autouse=True)
def _closed_circuits() -> None:
    """Ports come again: the failures of one test's server are not another's."""
    breaker.forget()
