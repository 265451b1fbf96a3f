"""Label Studio with its pairwise template: installed once, started on loopback, filled by its API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

VERSION = "1.23.2"
HOME = Path(os.environ.get("ARENA_CACHE_DIR", Path.home() / ".cache" / "preference-arena")).with_name(
    "preference-arena-peers"
)
TOKEN = "0123456789abcdef0123456789abcdef01234567"
EMAIL, PASSWORD = "rater@example.org", "open-sesame-1"

# "Pairwise" of its template gallery: two texts to choose from, under a prompt.
CONFIG = """<View className="root"><Text name="prompt" value="$prompt"/><View>
<Pairwise name="pw" toName="answer1,answer2"/>
<Text name="answer1" value="$answer1"/><Text name="answer2" value="$answer2"/></View></View>"""

CHOICES = "div.cursor-pointer:has(.lsf-htx-richtext)"


def installed() -> Path:
    """The command, installed into an environment of its own at the first call (a minute, 1 GB)."""
    folder = HOME / f"label-studio-{VERSION}"
    command = folder / "bin" / "label-studio"
    if not command.exists():
        print(f"Installing Label Studio {VERSION} into {folder} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", f"label-studio=={VERSION}"]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    return command


class LabelStudio:
    """A running server with one project of these pairs; ends with the block."""

    def __init__(self, port: int, pairs: Sequence[dict[str, str]]) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._folder = tempfile.TemporaryDirectory(prefix="label-studio-")
        environment = {
            **os.environ,
            "LABEL_STUDIO_BASE_DATA_DIR": self._folder.name,
            "LABEL_STUDIO_USERNAME": EMAIL,
            "LABEL_STUDIO_PASSWORD": PASSWORD,
            "LABEL_STUDIO_USER_TOKEN": TOKEN,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            # It would call home at each page.
            "COLLECT_ANALYTICS": "False",
            "LATEST_VERSION_CHECK": "0",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
        }
        command = [
            str(installed()),
            "start",
            "--no-browser",
            "--port",
            str(port),
            "--internal-host",
            "127.0.0.1",
        ]
        self._log = (Path(self._folder.name) / "server.log").open("wb")
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        try:
            self._wait()
            self.project = self._call("/api/projects/", {"title": "Pairs", "label_config": CONFIG})["id"]
            self._call(f"/api/projects/{self.project}/import", [{"data": pair} for pair in pairs])
        except BaseException:
            self.stop()
            raise

    @property
    def page(self) -> str:
        return f"{self.address}/projects/{self.project}/data?labeling=1"

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()
        self._folder.cleanup()

    def __enter__(self) -> LabelStudio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError("Label Studio ended at its start. Is the port free?")
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.5)
        raise RuntimeError("Label Studio did not answer within three minutes.")

    def _call(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
