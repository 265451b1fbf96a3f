"""A model that is really served: `transformers serve`, asked through our backend and by bare httpx.

The server is a process of its own with one thread for the model, as `transformers serve FOLDER` starts it
(on a GPU with its continuous batching). What it needs comes with `make bench`; the extra is `bench`.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import torch
from transformers.utils.import_utils import is_serve_available

from benchmarks import served

LONGEST_START = 120.0  # seconds
WAIT = 0.2


def available() -> bool:
    """Whether what `transformers serve` needs is installed."""
    return bool(is_serve_available())


def rates(
    folder: Path, prompts: list[str], *, at_once: int, new_tokens: int, repeats: int
) -> tuple[float, str, float]:
    """As `served.rates`, of the checkpoint in `folder`; each prompt is asked once in each round."""
    with _serving(folder) as address:
        conversations: list[served.Messages] = [({"role": "user", "content": text},) for text in prompts]
        parameters = {"max_new_tokens": new_tokens, "temperature": 1.0}
        return served.compare(address, str(folder), conversations, at_once, repeats, parameters)


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """The address of a server of this checkpoint, up to and with /v1, while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    if torch.cuda.is_available():
        command += ["--device", "cuda", "--continuous-batching"]
    else:
        command += ["--device", "cpu"]
    said = folder.parent / "serve.log"
    with said.open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        )
    try:
        until = time.monotonic() + LONGEST_START
        while not _answers(f"http://127.0.0.1:{port}/health"):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"transformers serve did not start: {said.read_text()[-1000:]}")
            time.sleep(WAIT)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
