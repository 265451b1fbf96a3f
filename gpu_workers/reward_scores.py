"""Scores of a reward model: one that was trained here, or a sequence classifier with one output, as TRL and
others save them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from gpu_workers.backends.base import BackendError
from gpu_workers.backends.bases import place
from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.data import Ranking
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.models import check_base
from gpu_workers.kwise.reward_model import FACTS, RewardModel

Scores = list[float]


class HeadScorer:
    """A reward model of our own trainer: a checkpoint with a head beside it."""

    def __init__(self, folder: Path) -> None:
        """Raises BackendError where it cannot be opened."""
        try:
            self.model = RewardModel.open(folder, TrainingConfig(data="", base=str(folder), output=""))
        except TrainingError as error:
            raise BackendError(str(error)) from None

    def scores(self, messages: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> Scores:
        """The reward of each response to the messages. Of a general preference, against the others shown."""
        ranking = Ranking("", "", tuple(messages), None, tuple(texts), tuple(range(1, len(texts) + 1)))
        return list(self.model.score([ranking])[0])


def open_scorer(checkpoint: str) -> "HeadScorer | RewardScorer":
    """The reward model in a folder, whichever kind it is. Raises BackendError."""
    folder = Path(checkpoint).expanduser()
    return HeadScorer(folder) if (folder / FACTS).is_file() else RewardScorer(checkpoint)


class RewardScorer:
    """One reward model, loaded once; safetensors only."""

    def __init__(self, checkpoint: str) -> None:
        """Raises BackendError where it is no reward model."""
        self.device, dtype = place()
        folder = Path(checkpoint).expanduser()
        try:
            check_base(folder)
            self.tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            model = AutoModelForSequenceClassification.from_pretrained(
                str(folder), dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
            )
        except TrainingError as error:
            raise BackendError(str(error)) from None
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BackendError(f"The reward model {checkpoint} cannot be opened: {reason}") from error
        if model.config.num_labels != 1:
            raise BackendError(f"{checkpoint} has {model.config.num_labels} outputs; a reward model has one.")
        self.model = model.to(self.device).eval()

    @torch.inference_mode()
    def scores(self, messages: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> Scores:
        """The reward of each response to the messages."""
        found = []
        for text in texts:
            chat = [*(dict(message) for message in messages), {"role": "assistant", "content": text}]
            words = self.tokenizer.apply_chat_template(chat, tokenize=False)
            inputs = self.tokenizer(words, return_tensors="pt", add_special_tokens=False).to(self.device)
            found.append(float(self.model(**inputs).logits[0, 0]))
        return found
