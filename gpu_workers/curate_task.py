"""A job that has a reward model choose a data set, page by page while the files are written."""

from pathlib import Path
from typing import Any

from arena.errors import BadInput
from arena.models import DataSet
from arena.services.curation import reward_folder
from arena.services.data_sets import write_data_set
from arena.services.leases import Lease
from gpu_workers.curate import Choice
from gpu_workers.kwise.errors import TrainingError


def curate_data_set(lease: Lease) -> dict[str, Any]:
    """The work of a job of the kind "curate". Done again it writes the same bytes."""
    data_set = DataSet.objects.select_related("arena").get(pk=lease.job.payload["data_set"])
    wanted = data_set.filters["curation"]
    if data_set.completed_at is None:
        lease.progress(message=f"Opening {wanted['by']}")
    try:
        choice = Choice.open(
            Path(reward_folder(data_set)),
            keep=wanted["keep"],
            least=wanted.get("least", 0.0),
            check=lease.check,
        )
        data_set = write_data_set(data_set, lease, choice)
    except TrainingError as error:
        raise BadInput(str(error)) from error
    return {"data_set": data_set.pk, "rows": data_set.counts}
