"""What the workers' tests share. One thread: the machine is small, and others test beside us."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gpu_workers.demo.build import build
from tests.gpu_workers import small


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny recipe's checkpoints: early, whole, tasted."""
    return build(small.TINY, tmp_path_factory.mktemp("models"), lambda event, **values: None)


@pytest.fixture
def endpoint() -> Iterator[small.Endpoint]:
    with small.endpoint() as found:
        yield found
