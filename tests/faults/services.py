"""A Redis and a PostgreSQL of the suite's own, on ports of their own, to be killed at will."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import redis

from tests.services import free_port


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps it off the path."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Services:
    """What of the two a scenario needs; `environment` leads the product to them."""

    def __init__(self, folder: Path, needs: tuple[str, ...]) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._redis: subprocess.Popen[bytes] | None = None
        self._ports = {name: free_port() for name in needs}
        if "redis" in needs:
            self._start_redis()
            self.environment["REDIS_URL"] = f"redis://127.0.0.1:{self._ports['redis']}/0"
        if "postgres" in needs:
            self._make_postgres()
            self.start_postgres()
            self.environment["DATABASE_URL"] = (
                f"postgres://postgres@127.0.0.1:{self._ports['postgres']}/postgres"
            )

    @classmethod
    def of_parent(cls, folder: Path, ports: dict[str, int]) -> "Services":
        """The same servers, seen from the child process that makes the faults."""
        self = cls.__new__(cls)
        self.folder, self._ports, self._redis, self.environment = folder, ports, None, {}
        self._programs, self._data = postgres_programs(), folder / "pg"
        return self

    def restart_redis(self) -> None:
        # The append-only file is written each second; what is younger may be lost, and is rung for again.
        os.kill(int((self.folder / "redis.pid").read_text()), signal.SIGKILL)
        time.sleep(1.0)
        self._start_redis()

    def flush_redis(self) -> None:
        with redis.Redis(port=self._ports["redis"]) as client:
            client.flushall()

    def start_postgres(self) -> None:
        options = f"-p {self._ports['postgres']} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._pg_ctl("start", "-o", options, "-l", str(self.folder / "pg.log"))

    def restart_postgres(self) -> None:
        """Stopped as by a crash (immediate: no checkpoint), away for a second, started again."""
        self._pg_ctl("stop", "-m", "immediate")
        time.sleep(1.0)
        self.start_postgres()

    def adopt(self) -> None:
        """Forget the process that was started here: the child may have killed it and started another."""
        if self._redis is not None and self._redis.poll() is not None:
            self._redis = None

    def end(self) -> None:
        if "redis" in self._ports:
            with suppress(redis.RedisError), redis.Redis(port=self._ports["redis"]) as client:
                client.shutdown(nosave=True)
        if self._redis is not None:
            self._redis.wait(timeout=30)
        if "postgres" in self._ports:
            self._pg_ctl("stop", "-m", "immediate", check=False)

    def _start_redis(self) -> None:
        port = self._ports["redis"]
        command = ["redis-server", "--port", str(port), "--dir", str(self.folder), "--bind", "127.0.0.1"]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        self._redis = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        (self.folder / "redis.pid").write_text(str(self._redis.pid))
        for _ in range(200):
            try:
                with redis.Redis(port=port) as client:
                    client.ping()
                return
            except redis.RedisError:
                time.sleep(0.05)
        raise RuntimeError("redis-server does not start")

    def _make_postgres(self) -> None:
        self._programs = postgres_programs()
        if self._programs is None:
            raise RuntimeError("PostgreSQL is not installed")
        self._data = self.folder / "pg"
        self._data.mkdir()
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self._data, "postgres")
            shutil.chown(self.folder, "postgres")
            self.folder.chmod(0o755)
        self._run("initdb", "-A", "trust", "-U", "postgres", "-D", str(self._data))

    def _pg_ctl(self, *arguments: str, check: bool = True) -> None:
        self._run("pg_ctl", "-w", "-D", str(self._data), *arguments, check=check)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(Path(self._programs or "") / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(
            command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
        )
