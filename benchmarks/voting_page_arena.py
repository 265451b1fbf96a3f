"""Fills the database of `ARENA_DATA_DIR` with an arena "pairs": prompts and answers on standard input."""

import json
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")

import django

django.setup()


def main() -> None:
    from tests import factories  # after the set-up of Django

    arena = factories.make_arena("pairs", name="Pairs", k=2)
    contestants = [factories.make_contestant(arena, f"model {number}") for number in range(2)]
    for pair in json.load(sys.stdin):
        prompt = factories.make_prompt(arena, pair["prompt"])
        for number, contestant in enumerate(contestants, start=1):
            factories.make_response(prompt, contestant, pair[f"answer{number}"])


if __name__ == "__main__":
    main()
