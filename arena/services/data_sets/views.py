"""Thin views of the K-wise row for the trainers that others have written."""

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]


def compared_pairs(ranks: list[int | None] | None) -> Iterator[tuple[int, int]]:
    """(better, worse) for every pair of slots that the ranks order strictly.

    A slot without a rank is below all ranked ones; two of them are not compared.
    """
    for better, high in enumerate(ranks or []):
        for worse, low in enumerate(ranks or []):
            if high is not None and (low is None or high < low):
                yield better, worse


def shared_pairs(row: Row) -> list[tuple[int, int]]:
    """The compared pairs of a row whose responses answer one prompt; across prompts there are none."""
    return [] if across_prompts(row) else list(compared_pairs(row["ranks"]))


def across_prompts(row: Row) -> bool:
    """Whether each response of the row answers a prompt of its own."""
    return any(response.get("messages") for response in row["responses"])


def preference_pairs(row: Row) -> Iterator[Row]:
    pairs = shared_pairs(row)
    for better, worse in pairs:
        yield {
            "prompt": prompt_of(row),
            "chosen": [_answer(row, better)],
            "rejected": [_answer(row, worse)],
            "vote_id": row["vote_id"],
            "weight": row["weight"] / len(pairs),
        }


def unpaired(row: Row) -> Iterator[Row]:
    for slot in range(len(row["responses"])):
        label = _is_good(row, slot)
        if label is not None:
            yield {
                "prompt": prompt_of(row, slot),
                "completion": [_answer(row, slot)],
                "label": label,
                "vote_id": row["vote_id"],
            }


def openai_pairs(row: Row) -> Iterator[Row]:
    for better, worse in shared_pairs(row):
        yield {
            "input": {"messages": prompt_of(row), "tools": [], "parallel_tool_calls": True},
            "preferred_output": [_answer(row, better)],
            "non_preferred_output": [_answer(row, worse)],
        }


def llama_factory_pairs(row: Row) -> Iterator[Row]:
    speakers = {"user": "human", "assistant": "gpt"}
    for better, worse in shared_pairs(row):
        yield {
            "conversations": [
                {"from": speakers[message["role"]], "value": message["content"]}
                for message in row["messages"]
            ],
            "chosen": {"from": "gpt", "value": row["responses"][better]["text"]},
            "rejected": {"from": "gpt", "value": row["responses"][worse]["text"]},
            "system": row["system"] or "",
        }


def llama_factory_info(name: str, files: dict[str, str]) -> dict[str, Any]:
    """The entries of dataset_info.json: one for each split."""
    return {
        f"{name}_{split}": {
            "file_name": file,
            "ranking": True,
            "formatting": "sharegpt",
            "columns": {
                "messages": "conversations",
                "chosen": "chosen",
                "rejected": "rejected",
                "system": "system",
            },
        }
        for split, file in files.items()
    }


def prompt_of(row: Row, slot: int = 0) -> list[dict[str, str]]:
    """What the response in `slot` answers, as messages; the system's comes first where there is one."""
    if own := row["responses"][slot].get("messages"):
        return list(own)
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    return [*system, *row["messages"]]


def _answer(row: Row, slot: int) -> dict[str, str]:
    return {"role": "assistant", "content": row["responses"][slot]["text"]}


def _is_good(row: Row, slot: int) -> bool | None:
    """True: among the best. False: among the worst, or all are bad. None: the vote does not say."""
    if row["kind"] == "all_bad":
        return False
    ranks = row["ranks"]
    if len(set(ranks)) == 1:
        return None  # all tied: good or bad, nobody said
    if ranks[slot] == 1:
        return True
    if row["kind"] == "best":
        return None  # not the best is not bad
    unranked = None in ranks
    worst = None if unranked else max(ranks)
    return False if ranks[slot] == worst else None
