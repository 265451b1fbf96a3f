"""Trains the demo's decoder: Muon for the hidden matrices, AdamW for the rest, on a CPU or a GPU."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gpu_workers.demo.muon import Muon
from gpu_workers.demo.recipe import Course, Size
from gpu_workers.demo.text import Example, batches, examples

IGNORED = -100  # the label of tokens that are not learned


def new_model(size: Size, tokenizer: PreTrainedTokenizerFast, *, seed: int) -> LlamaForCausalLM:
    """A Llama-type decoder with random weights that depend on the seed alone."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=size.context,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id
    )
    return model


class Run:
    """One course of training of one model. `step` steps are done."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, course: Course) -> None:
        self.model = model
        self.course = course
        self.step = 0
        self.loss = math.nan
        self._pad = int(tokenizer.pad_token_id)
        found = examples(tokenizer, count=course.steps * course.batch, style=course.style, seed=course.seed)
        self._batches = list(batches(found, size=course.batch, seed=course.seed))
        hidden: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in model.named_parameters():
            is_hidden = parameter.ndim == 2 and not name.startswith(("model.embed", "lm_head"))
            (hidden if is_hidden else others).append(parameter)
        self._muon = Muon(hidden, lr=course.matrix_rate)
        self._adam = torch.optim.AdamW(others, lr=course.other_rate, betas=(0.9, 0.95), weight_decay=0.0)

    def advance(self, step: int, tell: Callable[[int, float], None]) -> None:
        """Train until `step` steps are done; `tell` hears of each step and its loss."""
        self.model.train()
        while self.step < step:
            self.loss = self._one(self._batches[self.step], self._share())
            self.step += 1
            tell(self.step, self.loss)
        self.model.eval()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if nothing had happened."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "muon": self._muon.state_dict(),
            "adam": self._adam.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])
        self.step = state["step"]

    def _one(self, batch: Sequence[Example], share: float) -> float:
        ids, labels = _tensors(batch, self._pad)
        ids, labels = ids.to(self.model.device), labels.to(self.model.device)
        # Padded on the right under a causal mask: no real token ever sees the padding.
        hidden = self.model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        learned = wanted != IGNORED
        loss = cross_entropy(self.model.lm_head(hidden[learned]), wanted[learned])
        loss.backward()
        for optimizer, rate in ((self._muon, self.course.matrix_rate), (self._adam, self.course.other_rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.detach())

    def _share(self) -> float:
        """The share of the full learning rate: a short rise, then a cosine down to a twentieth."""
        rise = min(1.0, (self.step + 1) / self.course.warm_up)
        return rise * (0.05 + 0.475 * (1 + math.cos(math.pi * self.step / self.course.steps)))


def _tensors(batch: Sequence[Example], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and labels (examples, longest). Only the answers are learned, not the questions."""
    longest = max(len(example.ids) for example in batch)
    ids = torch.full((len(batch), longest), pad)
    labels = torch.full((len(batch), longest), IGNORED)
    for place, example in enumerate(batch):
        ids[place, : len(example.ids)] = torch.tensor(example.ids)
        labels[place, example.prompt : len(example.ids)] = ids[place, example.prompt : len(example.ids)]
    return ids, labels
