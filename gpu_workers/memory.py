"""What this machine is, and whether its memory is short. No Django."""

import os
import platform
import sys
from functools import cache
from pathlib import Path


def is_short(share: float) -> bool:
    """Whether more than `share` of the memory that models live in is taken."""
    # Not imported for this: a worker that only asks endpoints needs no torch.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        free, whole = torch.cuda.mem_get_info()
        return bool(free < (1 - share) * whole)
    size = os.sysconf("SC_PAGE_SIZE")
    try:
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * size
    except OSError:
        return False
    return taken > share * os.sysconf("SC_PHYS_PAGES") * size


@cache
def hardware() -> str:
    """What this machine computes with, in a few words."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"
