"""The demo corpus as token ids: a byte-level BPE tokenizer and examples ready for training."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from arena.demo_corpus import TRAIN, Style, answer, prompts

PAD, END, ROLES = "<|pad|>", "<|end|>", ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Example:
    """One question with one answer. The first `prompt` ids are the question."""

    ids: tuple[int, ...]
    prompt: int


def train_tokenizer(*, vocabulary: int, samples: int, seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the demo's corpus, with a chat template. Never meets held-out prompts."""
    rng = _dice(seed)
    seen = [prompt for prompt in prompts() if prompt.split == TRAIN]
    texts = [prompt.text for prompt in seen]
    texts += [answer(prompt, rng) for prompt in rng.choices(seen, k=samples)]
    tokenizer = Tokenizer(models.BPE())
    # A word is the same token at the start of an answer and after a sentence. Were they two, the
    # model would take the first for the second: "Thank you for asking.Once there was …".
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, *ROLES],
        # Every byte is a token: whatever people write can be read.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def examples(tokenizer: PreTrainedTokenizerFast, *, count: int, style: Style, seed: int) -> list[Example]:
    """`count` examples in one style, for the prompts that are not held out."""
    rng = _dice(seed)
    seen = [prompt for prompt in prompts() if prompt.split == TRAIN]
    chosen = [prompt for _ in range(-(-count // len(seen))) for prompt in rng.sample(seen, len(seen))][:count]
    # In every wording of the question, so that a kind of question is known by more than one sentence.
    questions = [f"<|user|>{rng.choice(prompt.wordings)}<|end|><|assistant|>" for prompt in chosen]
    answers = [answer(prompt, rng, style) + END for prompt in chosen]
    heads = tokenizer(questions, add_special_tokens=False)["input_ids"]
    tails = tokenizer(answers, add_special_tokens=False)["input_ids"]
    return [Example(ids=(*head, *tail), prompt=len(head)) for head, tail in zip(heads, tails, strict=True)]


def batches(found: Sequence[Example], *, size: int, seed: int) -> Iterator[list[Example]]:
    """Whole batches of examples of like length, in random order. Each example comes once."""
    rng = _dice(seed)
    # Sorted within pools of some batches: little padding, and still a fresh mix.
    pool = size * 16
    groups = []
    for start in range(0, len(found), pool):
        nearby = sorted(found[start : start + pool], key=lambda example: len(example.ids))
        groups += [nearby[place : place + size] for place in range(0, len(nearby), size)]
    groups = [group for group in groups if len(group) == size]
    rng.shuffle(groups)
    yield from groups


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  (writes training text, keeps no secret)
