"""The demo arena's prompts, and a grammar that writes sample answers to them.

Plain Python and the standard library: the web process uses the prompts, the workers
train the demo's models on the answers. Demo data, made up by this code; not a benchmark.
"""

from arena.demo_corpus.grammar import Style, Traits, answer, is_on_topic, is_readable, sentences_in, traits
from arena.demo_corpus.prompts import HELD_OUT, TRAIN, DemoPrompt, prompt_of, prompts
from arena.demo_corpus.taste import Taste

__all__ = [
    "HELD_OUT",
    "TRAIN",
    "DemoPrompt",
    "Style",
    "Taste",
    "Traits",
    "answer",
    "is_on_topic",
    "is_readable",
    "prompt_of",
    "prompts",
    "sentences_in",
    "traits",
]
