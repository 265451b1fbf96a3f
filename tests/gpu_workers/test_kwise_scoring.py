"""The packed path against one sequence per response: the same numbers, the same gradients."""

import random

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from gpu_workers.kwise import head
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.scoring import (
    choose_path,
    pack,
    packed_log_probabilities,
    plain_log_probabilities,
    tree_mask,
)
from tests.gpu_workers.kwise_world import make_model


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def make_rankings(seed: int = 0, vocabulary: int = 20) -> list[EncodedRanking]:
    rng = random.Random(seed)

    def tokens(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.randrange(2, vocabulary) for _ in range(rng.randint(low, high)))

    return [
        EncodedRanking(f"v{n}", tokens(1, 12), tuple(tokens(1, 9) for _ in range(k)), tuple(range(1, k + 1)))
        for n, k in enumerate([4, 2, 3, 4])
    ]


def gradients(model, score, rankings) -> dict[str, torch.Tensor]:
    model.zero_grad()
    values = score(model, rankings, 4)
    weights = torch.linspace(-1, 2, values.numel()).view(values.shape)
    (values * weights).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def test_packed_scores_are_those_of_separate_sequences():
    model = make_model().double()
    rankings = make_rankings()

    packed = packed_log_probabilities(model, rankings, 4)
    plain = plain_log_probabilities(model, rankings, 4)

    assert torch.allclose(packed, plain, atol=1e-4)
    assert packed[1, 2:].tolist() == [0.0, 0.0]  # the ranking of two has no third and fourth
    assert (packed[0] < -1).all()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_packed_gradients_are_those_of_separate_sequences(checkpointing):
    model = make_model().double()
    rankings = make_rankings(1)
    truth = gradients(model, plain_log_probabilities, rankings)

    if checkpointing:
        model.train()
        model.activation_checkpointing_enable()
    packed = gradients(model, packed_log_probabilities, rankings)

    for name, gradient in packed.items():
        assert torch.allclose(gradient, truth[name], rtol=1e-4, atol=1e-5), name
    assert max(gradient.abs().max() for gradient in truth.values()) > 0.1


def test_a_response_changes_no_score_but_its_own():
    model = make_model()
    ranking = make_rankings()[0]
    other = EncodedRanking("o", ranking.prompt, (*ranking.responses[:3], (3, 4, 5, 6)), ranking.ranks)

    before = packed_log_probabilities(model, [ranking], 4)
    after = packed_log_probabilities(model, [other], 4)

    assert torch.allclose(before[0, :3], after[0, :3], atol=1e-5)
    assert abs(before[0, 3] - after[0, 3]) > 0.1


def test_the_head_in_pieces_gives_the_same_gradient(monkeypatch):
    model = make_model().double()
    rankings = make_rankings(2)
    whole = gradients(model, packed_log_probabilities, rankings)

    monkeypatch.setattr(head, "HEAD_NUMBERS", 3 * model.config.vocab_size)
    pieces = gradients(model, packed_log_probabilities, rankings)

    for name, gradient in pieces.items():
        assert torch.allclose(gradient, whole[name], atol=1e-6), name


def test_the_tree_mask_of_a_prompt_and_two_responses():
    packed = pack([EncodedRanking("v", (7, 8), ((9,), (10, 11)), (1, 2))])

    seen = (tree_mask(packed.branches, torch.float32)[0, 0] == 0).int().tolist()

    assert packed.positions.tolist() == [[0, 1, 2, 2, 3]]
    assert seen == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]


def test_packed_is_chosen_for_a_model_that_takes_the_mask():
    ranking = make_rankings()[0]
    absolute = GPT2LMHeadModel(
        GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64, vocab_size=30)
    ).eval()

    assert choose_path(make_model(), ranking, "auto") == ("packed", "")
    assert choose_path(absolute, ranking, "auto") == ("packed", "")


def test_a_model_that_scales_its_logits_is_scored_one_by_one():
    torch.manual_seed(0)
    settings = Gemma2Config(
        vocab_size=30,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=1.0,
        initializer_range=0.5,
    )

    path, notice = choose_path(Gemma2ForCausalLM(settings).eval(), make_rankings()[0], "auto")

    assert path == "plain"
    assert "one by one" in notice
