"""The card of a data set: README.md with the YAML head that the Hugging Face hub and `datasets` read."""

import json
from typing import Any

from arena.models import DataSet
from arena.services.data_sets.formats import FORMATS

SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
LARGEST_SIZE = "1M<n<10M"

BODY = """# {title}

Votes of people on the outputs of models in the arena "{arena}", as of vote {last_vote}. Exported by
Preference Arena as data set {number}; it never changes. `manifest.json` lists the SHA-256 of every file.
{demo}
## Formats

{formats}

Read one with `datasets.load_dataset(FOLDER, "{first}")`. The splits go by prompt: all votes on one prompt
are in one split, so that nothing of the held-out prompts was seen in training.

## Rows

{rows}

Left out: {left_out}.
{chosen}
## How it was made

{strategy} Voters saw the responses in shuffled slots without the models' names; `responses` are in the
order shown (`display_order`). `propensity` is the probability with which the contestants were drawn, where
it is known.
`voter` is a pseudonym of this data set alone. Ties are equal ranks; ranks are competition ranks (1, 2, 2, 4).
Weigh the rights to the prompts and to the outputs of each model before passing this data set on.
"""


def card(data_set: DataSet, *, files: dict[str, dict[str, str]], facts: dict[str, Any]) -> str:
    """The text of README.md. `files` by format and split, `facts` as in the manifest."""
    title = f"{data_set.arena.name}, data set {data_set.number}"
    body = BODY.format(
        title=title,
        arena=data_set.arena.name,
        number=data_set.number,
        last_vote=data_set.last_vote,
        demo=_demo_note(data_set),
        formats="\n".join(f"- **{name}**: {FORMATS[name].description}" for name in data_set.formats),
        first=data_set.formats[0],
        rows=_table(facts["rows"]),
        left_out=_left_out(facts["left_out"]),
        chosen=_chosen(data_set.filters) + _curated(data_set.filters.get("curation"), facts.get("curated")),
        strategy=f'Contestants were drawn by the strategy "{data_set.arena.get_strategy_display()}".',
    )
    return f"---\n{_head(title, files, facts)}---\n\n{body}"


def _head(title: str, files: dict[str, dict[str, str]], facts: dict[str, Any]) -> str:
    # JSON texts are YAML texts: quoting is safe whatever the arena is called.
    most = max((sum(splits.values()) for splits in facts["rows"].values()), default=0)
    size = next((word for limit, word in SIZES if most < limit), LARGEST_SIZE)
    lines = [
        f"pretty_name: {json.dumps(title)}",
        f"size_categories:\n- {size}",
        "tags:\n- preference\n- human-feedback\n- rlhf\n- dpo\n- preference-arena",
        "annotations_creators:\n- crowdsourced",
        "configs:",
    ]
    for index, (name, splits) in enumerate((name, splits) for name, splits in files.items() if splits):
        lines.append(f"- config_name: {name}")
        if index == 0:
            lines.append("  default: true")
        lines.append("  data_files:")
        lines += [f"  - split: {split}\n    path: {json.dumps(path)}" for split, path in splits.items()]
    return "\n".join(lines) + "\n"


def _table(rows: dict[str, dict[str, int]]) -> str:
    lines = ["| format | train | held out |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {splits['train']} | {splits['held_out']} |" for name, splits in rows.items()]
    return "\n".join(lines)


def _left_out(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} votes ({why})" for why, count in sorted(counts.items())) or "nothing"


def _chosen(filters: dict[str, dict[str, str]]) -> str:
    """What was asked for beside the usual, in sentences."""
    told = ""
    if names := filters.get("contestants"):
        told += f"\nOnly votes on {', '.join(names.values())} are in it.\n"
    if names := filters.get("judges"):
        told += (
            f"\nNot only people voted: `judge` names the model where one did ({', '.join(names.values())}).\n"
        )
    return told


def _curated(wanted: dict[str, Any] | None, told: dict[str, Any] | None) -> str:
    """What a reward model chose, and by what measure."""
    if not wanted or not told:
        return ""
    who = f'the reward model "{wanted["by"]}" (sha256 {told["reward_model_sha256"][:12]})'
    if wanted["keep"] == "agreeing":
        return (
            f"\nChosen of data set {wanted['of']} by {who}: {told['kept']} of {told['votes']} votes to train "
            f"on, whose pairs it finds at least {wanted['least']:g} likely on average. Held-out votes are as "
            "they were.\n"
        )
    return (
        f"\nMade of data set {wanted['of']} by {who}: of the responses to each prompt the one that it likes "
        f"best over the one that it likes least, {told['kept']} in all. Nobody cast these; `voter` and "
        "`judge` name the model. Held-out votes are people's, as they were.\n"
    )


def _demo_note(data_set: DataSet) -> str:
    if not data_set.arena.is_demo:
        return ""
    return "\nThis is the demo arena: made-up prompts, and tiny models trained on made-up texts.\n"
