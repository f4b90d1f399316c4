"""Twenty questions and text navigation: who knows what, and what a command does."""

from __future__ import annotations

import numpy as np
import pytest

from vlm_qsft.dialogue.tasks.text_navigation import TextNavigation
from vlm_qsft.dialogue.tasks.twenty_questions import TwentyQuestions, guess_of, oracle_table


def questions_about(name: str) -> TwentyQuestions:
    game = TwentyQuestions()
    game.reset(np.random.default_rng(0))
    game._hidden = oracle_table().objects.index(name)
    return game


def test_the_oracle_tells_every_two_objects_apart() -> None:
    table = oracle_table()
    n_properties = len(table.questions) - len(table.objects)
    assert len({row.tobytes() for row in table.has[:, :n_properties]}) == len(table.objects) == 123
    assert len(set(table.questions)) == len(table.questions)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is it an animal?\n", "Yes.\n"),
        ("Does it have strings?\n", "No.\n"),
        ("Is it Tuesday?\n", "No.\n"),
        ("", "No.\n"),
    ],
)
def test_the_oracle_answers_from_its_table_and_no_to_everything_else(question: str, answer: str) -> None:
    result = questions_about("tiger").step(question)
    assert (result.observation, result.reward, result.terminated) == (answer, -1.0, False)


def test_the_right_guess_costs_nothing_and_ends_the_game() -> None:
    game = questions_about("tiger")
    assert game.step("Is it a lion?\n").reward == -1.0
    result = game.step("Is it a tiger?\n")
    assert (result.observation, result.reward, result.terminated, result.success) == ("Yes.\n", 0.0, True, True)
    assert guess_of("elephant") == "Is it an elephant?"
    assert guess_of("scissors") == "Are they scissors?"


def test_the_thoughtful_player_finds_every_object() -> None:
    for name in oracle_table().objects:
        game = questions_about(name)
        while not (result := game.step(game.expert_action())).terminated:
            pass
        assert result.success


def test_the_way_through_the_house_is_rewarded_at_its_end() -> None:
    game = TextNavigation()
    game.begin("bedroom", np.random.default_rng(0))
    way = [
        "go west",
        "take stale food from table",
        "go west",
        "go west",
        "open fridge",
        "insert stale food into fridge",
    ]
    for command in way:
        assert command in game.possible()
        assert game.expert_action() == f"{command}\n"
        assert game.step(f"{command}\n").reward == 0.0
    result = game.step("close fridge\n")
    assert (result.reward, result.terminated, result.success) == (1.0, True, True)


def test_an_observation_ends_with_the_commands_that_are_possible() -> None:
    game = TextNavigation()
    text = game.begin("living room", np.random.default_rng(0))
    assert text.endswith("Admissible commands: go east, go south, go west, take stale food from table\n")
    assert game.step("fly\n").observation.startswith("You can't do that. You are in the living room.")


def test_eating_the_food_loses_the_game() -> None:
    game = TextNavigation()
    game.begin("living room", np.random.default_rng(0))
    game.step("take stale food from table\n")
    result = game.step("eat stale food\n")
    assert (result.reward, result.terminated, result.success) == (0.0, True, False)


def test_dropped_food_is_found_where_it_lies() -> None:
    game = TextNavigation()
    game.begin("living room", np.random.default_rng(0))
    for command in ("take stale food from table", "go south", "drop stale food", "go north"):
        game.step(f"{command}\n")
    assert game.expert_action() == "go south\n"
    assert "stale food on the floor" in game.step("go south\n").observation
    assert "take stale food" in game.possible()
