"""The web side knows the trainer's settings without importing it; here both are held together."""

from arena.services.objectives import GROUPS, NEED_REWARDS, OBJECTIVES, OPTIONS
from arena.services.training import request_training, run_config
from arena.services.training_settings import (
    CHOICES,
    LORA_NUMBERS,
    OBJECTS,
    PARAMETERS,
    SWITCHES,
    VOTE_WEIGHTS,
)
from gpu_workers.kwise.config import LORA_DEFAULTS, TrainingConfig, parse_config
from gpu_workers.kwise.config import VOTE_WEIGHTS as TRAINER_WEIGHTS
from gpu_workers.kwise.objectives import OBJECTIVES as TRAINER_OBJECTIVES
from tests import factories


def test_the_form_offers_the_trainer_s_objectives():
    assert {name for name, _ in OBJECTIVES} == set(TRAINER_OBJECTIVES)


def test_the_form_knows_which_objectives_need_a_reward_model():
    wanting = {name for name, entry in TRAINER_OBJECTIVES.items() if entry.needs_rewards}

    assert set(NEED_REWARDS) == wanting
    assert len(GROUPS) == len({str(title) for title, _ in GROUPS})


def test_the_options_of_an_objective_are_the_trainer_s_own():
    own = {
        name: {option: known.default for option, known in entry.options.items()}
        for name, entry in TRAINER_OBJECTIVES.items()
    }

    assert {name: options for name, options in own.items() if options} == OPTIONS


def test_the_trainer_accepts_the_configuration_of_a_run(base, voted_arena, export):
    for _ in range(10):
        factories.make_vote(voted_arena, [1, 2, 3], prompt=voted_arena.prompts.order_by("id").first())
    run = request_training(base=base, data_set=export(voted_arena), parameters={"epochs": 3.0, "beta": 1})

    config = parse_config(run_config(run))

    assert (config.epochs, config.beta, config.system_prompt) == (3, 1.0, "Be kind.")


def test_defaults_are_the_trainer_s_own():
    own = TrainingConfig(data="d", base="b", output="o").as_dict()

    assert {name: default for name, (default, _, _) in PARAMETERS.items()} == {
        name: own[name] for name in PARAMETERS
    }
    assert {name: options[0] for name, options in CHOICES.items()} == {name: own[name] for name in CHOICES}
    numbers = {name: default for name, (default, _, _) in LORA_NUMBERS.items()}
    assert {**numbers, "target_modules": LORA_DEFAULTS["target_modules"]} == LORA_DEFAULTS
    assert {*OBJECTS, *SWITCHES, "vote_weights", "reward_model"} <= set(own)
    assert not any(own[name] for name in SWITCHES)  # what is not set is off
    assert VOTE_WEIGHTS == TRAINER_WEIGHTS
