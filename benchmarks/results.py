"""What a benchmark found, as a file of JSON that says where it was taken.

    {"benchmark": "ranking", "command": "python -m benchmarks.ranking", "taken": "2026-11-21",
     "machine": {…}, "rows": [{"measure", "ours", "unit", "peer", "theirs", "ratio", "goal", "met"}, …]}

`python -m benchmarks.tables` makes the tables of docs/benchmarks.md from such files.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Taken when the benchmark starts: its own work is not other work.
_BUSY = os.getloadavg()[0]


def write(path: Path, benchmark: str, rows: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """Write the rows of one run, with its command, day and machine.

    A row names its `measure`, `ours` and `unit`; what is left out or None leaves its place in the table
    empty. `met` is whether the goal was reached, and None where there is no goal or no measurement.
    """
    found = {
        "benchmark": benchmark,
        "command": command(benchmark, sys.argv[1:]),
        "taken": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        **more,
        "rows": [dict(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def command(benchmark: str, arguments: Sequence[str]) -> str:
    """The command as anybody would type it: the file that the rows go to is no part of it."""
    kept = []
    rest = iter(arguments)
    for one in rest:
        if one == "--json":
            next(rest, None)
        elif not one.startswith("--json="):
            kept.append(one)
    return " ".join(["python", "-m", f"benchmarks.{benchmark}", *kept])


def machine() -> dict[str, Any]:
    """Cores, processor, Python, the GPU where PyTorch is loaded and has one, and the load at the start.

    `load` is the system's one-minute average: how many processes wanted a core before we came.
    """
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "gpu": _gpu(),
        "load": round(_BUSY, 1),
    }


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())
