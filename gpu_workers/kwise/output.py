"""The output folder of a run: held by one run alone, and gone on with only by the very same."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpu_workers.kwise.config import FREE_TO_CHANGE, TrainingConfig
from gpu_workers.kwise.data import RankingData
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.outcome import code_hash
from gpu_workers.kwise.sharing import Share


@contextmanager
def held_output(config: TrainingConfig, data: RankingData, base: Base, share: Share) -> Iterator[Path]:
    """The output folder, held by this run alone, and checked to be of this very run."""
    output = Path(config.output)
    if not share.first:
        share.wait()  # the first has made it
        yield output
        return
    state = output / "state"
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"Another training process is writing to {output}. Wait for it to end."
            ) from None
        _check_same_run(state / "run.json", config, data, base)
        share.wait()
        yield output


def _check_same_run(file: Path, config: TrainingConfig, data: RankingData, base: Base) -> None:
    settings = {name: value for name, value in config.as_dict().items() if name not in FREE_TO_CHANGE}
    now = {**settings, "data": data.sha256, "base": base.sha256, "code": code_hash()}
    now = json.loads(json.dumps(now))
    if not file.exists():
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(now, indent=1))
        draft.replace(file)
        return
    before = json.loads(file.read_text())
    changed = sorted(name for name in now | before if now.get(name) != before.get(name))
    if changed:
        raise TrainingError(
            f"The output folder {config.output} holds a run with another {', '.join(changed)}. "
            "Choose an empty folder, or put that back to go on with it."
        )
