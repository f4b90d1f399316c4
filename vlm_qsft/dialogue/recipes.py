"""How each language task is trained and played where the user says nothing else. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from vlm_qsft.errors import UnknownName
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.training.settings import TrainSettings


@dataclass(frozen=True)
class TextRecipe:
    """What was found best; README.md says what `endgames` lacks.

    Attributes:
        episodes: logged games.
        model: its size.
        observed_weight: see `TextDataset`.
        augmented_copies: see `LanguageTask.augmenter`; of both phases.
        behavior: the behavior phase.
        q: the Q phase.
        policy: the extraction.
    """

    episodes: int
    model: TextModelSettings
    behavior: TrainSettings
    q: TrainSettings
    policy: PolicySettings
    observed_weight: float = 0.0
    augmented_copies: int = 0


def _phase(steps: int, batch_size: int, learning_rate: float, **others: object) -> TrainSettings:
    every = max(10, steps // 5)
    settings: dict[str, object] = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "eval_every": every,
        "save_every": every,
        "validation_frames": 256,
    }
    return TrainSettings(**{**settings, **others})  # pyright: ignore[reportArgumentType] (fields, all of them)


# One move ahead, because no log leads from an arm into the stem: what lies further ahead of a move in the logs is never
# stitched. The discount keeps the values of neighbouring cells apart, a fast target network brings them from the goal.
_MAZE_Q = {
    "gamma": 0.97, "backup": "nstep", "n_step": 1, "target_update_rate": 0.3, "priority_share": 0.0,
}  # fmt: skip
# One move ahead: whatever this one was worth, what follows it in the logs is mostly chosen at random, and may lose it.
_ONE_AHEAD = {"backup": "nstep", "n_step": 1, "target_update_rate": 0.05, "priority_share": 0.0}
# Mostly the probability of being the word: what agrees with the feedback and what does not then differ by a factor.
_WORDLE_Q = {"gamma": 0.4, **_ONE_AHEAD}
_WORDLE_STEP = {"optimizer": "muon", "weight_decay": 1.0}
_WORDLE_MODEL = TextModelSettings(width=128, layers=2, head_width=16, rope_theta=50.0)
# What a game returned: a move that brings a queen out of a circle is one of twenty that the player of the logs makes
# rarely, and which of them it is must be told from few. And slowly: which moves are legal took long to learn, and is
# forgotten at the learning rate of the behavior phase.
_ENDGAME_Q = {"gamma": 0.95, "backup": "monte_carlo", "priority_share": 0.7}
_ENDGAME_STEP = {"optimizer": "muon", "weight_decay": 0.3}
# The best move nearly outright: where two cells look alike a draw now and then leads out again.
_SHARP = PolicySettings("ratio", temperature=1.0, inverse_temperature=300.0, support=0.3)
_SHARPER = PolicySettings("ratio", temperature=1.0, inverse_temperature=1000.0, support=0.3)

RECIPES = MappingProxyType(
    {
        "maze": TextRecipe(
            episodes=1500,
            model=TextModelSettings(width=64, layers=2),
            behavior=_phase(800, 2048, 3e-3, optimizer="muon"),
            q=_phase(800, 2048, 3e-3, **_MAZE_Q, optimizer="muon"),
            policy=_SHARPER,
        ),
        "maze-partly-observed": TextRecipe(
            episodes=1500,
            model=TextModelSettings(width=64, layers=2),
            behavior=_phase(900, 24, 3e-3),
            q=_phase(700, 24, 3e-3, **{**_MAZE_Q, "gamma": 0.98, "n_step": 3, "target_update_rate": 0.2}),
            policy=_SHARP,
        ),
        "wordle-small": TextRecipe(
            episodes=4000,
            model=_WORDLE_MODEL,
            behavior=_phase(600, 128, 1e-2, **_WORDLE_STEP),
            q=_phase(800, 128, 1e-2, **_WORDLE_Q, **_WORDLE_STEP),
            policy=PolicySettings("single", temperature=0.0, inverse_temperature=0.0, support=0.0),
            augmented_copies=4,
        ),
        "wordle": TextRecipe(
            episodes=20000,
            model=_WORDLE_MODEL,
            behavior=_phase(1500, 256, 1e-2, **_WORDLE_STEP),
            q=_phase(4000, 256, 1e-2, **_WORDLE_Q, **_WORDLE_STEP),
            policy=PolicySettings("power", temperature=0.0, inverse_temperature=1.0, support=0.3),
            augmented_copies=16,
        ),
        "endgames-small": TextRecipe(
            episodes=4000,
            model=TextModelSettings(width=128, layers=2, head_width=16, learned_positions=256),
            behavior=_phase(6000, 256, 1e-2, **_ENDGAME_STEP),
            q=_phase(6000, 256, 3e-3, **_ENDGAME_Q, **_ENDGAME_STEP),
            policy=PolicySettings("ratio", 0.0, 10.0, 8.0, repeats=False, symmetries=True),
            augmented_copies=7,
        ),
        "endgames": TextRecipe(
            episodes=10000,
            model=TextModelSettings(width=128, layers=3, head_width=16, learned_positions=256),
            behavior=_phase(8000, 512, 1e-2, **_ENDGAME_STEP),
            q=_phase(8000, 512, 3e-3, **_ENDGAME_Q, **_ENDGAME_STEP),
            policy=PolicySettings("ratio", 0.0, 10.0, 8.0, repeats=False, symmetries=True),
            augmented_copies=7,
        ),
    }
)


def recipe(task: str) -> TextRecipe:
    """Return the recipe of a task.

    Raises:
        UnknownName: none was tried; lists those there are.
    """
    if task not in RECIPES:
        raise UnknownName("recipe for the language task", task, RECIPES)
    return RECIPES[task]
