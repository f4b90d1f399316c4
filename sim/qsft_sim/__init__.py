"""MuJoCo tabletop tasks: scenes, arm, rendering, scripted demonstrators, recording and evaluation.

Names are loaded when they are first used: `import qsft_sim` loads neither MuJoCo nor OpenGL.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsft_sim.counterfactual import evaluate_counterfactual as evaluate_counterfactual
    from qsft_sim.demonstrators import Demonstrator as Demonstrator
    from qsft_sim.environment import EnvironmentSettings as EnvironmentSettings
    from qsft_sim.environment import TabletopEnvironment as TabletopEnvironment
    from qsft_sim.evaluation import Evaluator as Evaluator
    from qsft_sim.evaluation import evaluate as evaluate
    from qsft_sim.evaluation import read_results as read_results
    from qsft_sim.examples import write_examples as write_examples
    from qsft_sim.qualities import QUALITIES as QUALITIES
    from qsft_sim.qualities import Quality as Quality
    from qsft_sim.randomisation import VARIANTS as VARIANTS
    from qsft_sim.recording import RecordingSettings as RecordingSettings
    from qsft_sim.recording import record as record
    from qsft_sim.rendering import choose_back_end as choose_back_end
    from qsft_sim.results import EpisodeResult as EpisodeResult
    from qsft_sim.seeds import EVALUATION as EVALUATION
    from qsft_sim.seeds import RECORDING as RECORDING
    from qsft_sim.seeds import TUNING as TUNING
    from qsft_sim.statistics import compare as compare
    from qsft_sim.statistics import summarise as summarise
    from qsft_sim.statistics import summarise_counterfactual as summarise_counterfactual
    from qsft_sim.statistics import wilson_interval as wilson_interval
    from qsft_sim.tasks import TASKS as TASKS

_MODULES = {
    "evaluate_counterfactual": "counterfactual",
    "QUALITIES": "qualities",
    "Demonstrator": "demonstrators",
    "Quality": "qualities",
    "EnvironmentSettings": "environment",
    "TabletopEnvironment": "environment",
    "Evaluator": "evaluation",
    "evaluate": "evaluation",
    "read_results": "evaluation",
    "write_examples": "examples",
    "VARIANTS": "randomisation",
    "RecordingSettings": "recording",
    "record": "recording",
    "choose_back_end": "rendering",
    "EpisodeResult": "results",
    "EVALUATION": "seeds",
    "RECORDING": "seeds",
    "TUNING": "seeds",
    "compare": "statistics",
    "summarise": "statistics",
    "summarise_counterfactual": "statistics",
    "wilson_interval": "statistics",
    "TASKS": "tasks",
}

__all__ = sorted(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'qsft_sim' has no attribute '{name}'")
    return getattr(import_module(f"qsft_sim.{_MODULES[name]}"), name)
