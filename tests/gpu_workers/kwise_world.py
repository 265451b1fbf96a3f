"""A small world for the trainer's tests: a real checkpoint of a tiny decoder, and rankings to train it on."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ["the", "a", "cat", "dog", "sees", "likes", "small", "big", "tree", "river", "why", "how"]
WORDS += ["please", "thank", "you", "blue", "red", "sun", "moon"]
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def make_tokenizer(*, eos: bool = True) -> PreTrainedTokenizerFast:
    special = ["<unk>", "<end>", "<user>", "<assistant>", "<system>"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    if eos:
        tokenizer.eos_token = "<end>"
        tokenizer.pad_token = "<end>"
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    settings = {
        "vocab_size": 5 + len(WORDS),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 96,
        "eos_token_id": 1,
        "bos_token_id": None,
        "pad_token_id": 1,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
    }
    return LlamaForCausalLM(LlamaConfig(**{**settings, **changes}))


def write_base(folder: Path, *, eos: bool = True, **changes: Any) -> Path:
    make_model(**changes).save_pretrained(folder)
    make_tokenizer(eos=eos).save_pretrained(folder)
    return folder


def sentence(rng: random.Random, low: int = 3, high: int = 9) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def row(
    number: int,
    prompt: str,
    texts: Sequence[str],
    ranks: Sequence[int | None] | None,
    kind: str = "ranking",
    **changes: Any,
) -> dict[str, Any]:
    """One row of the kwise format."""
    responses = [
        {
            "id": f"r{number}-{slot}",
            "contestant": f"c{slot}",
            "text": text,
            "sample": 0,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        for slot, text in enumerate(texts)
    ]
    return {
        "schema_version": 1,
        "vote_id": f"v{number}",
        "battle_id": f"b{number}",
        "prompt_id": f"p{number}",
        "messages": [{"role": "user", "content": prompt}],
        "system": None,
        "responses": responses,
        "ranks": None if ranks is None else list(ranks),
        "kind": kind,
        "voter": "x",
        "weight": 1.0,
        "propensity": None,
        "strategy": "information",
        "display_order": list(range(len(texts))),
        "wall_ms": None,
        "active_ms": None,
        "created_at": "2026-01-01T00:00:00Z",
        **changes,
    }


def rankings_by_shortness(count: int, *, k: int = 4, seed: int = 0) -> list[dict[str, Any]]:
    """Votes of somebody who likes short answers: ties where two are as long."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        texts = [sentence(rng) for _ in range(k)]
        lengths = [len(text.split()) for text in texts]
        ranks = [1 + sum(other < length for other in lengths) for length in lengths]
        rows.append(row(number, sentence(rng, 2, 6), texts, ranks))
    return rows


def write_data_set(
    folder: Path, train: list[dict[str, Any]], held_out: list[dict[str, Any]] | None = None
) -> Path:
    """A data set folder as the product writes it, as far as the trainer reads it."""
    (folder / "kwise").mkdir(parents=True)
    files = {}
    for split, rows in (("train", train), ("held_out", held_out or [])):
        name = f"kwise/{split}-00000-of-00001.parquet"
        if rows or split == "train":
            pq.write_table(pa.Table.from_pylist(rows), folder / name)
            files[name] = {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
    manifest = {"data_set": "garden-1", "arena": "garden", "number": 1, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
