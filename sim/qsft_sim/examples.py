"""Episodes worth looking at: the first success and the first failure, run again with everything kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsft_sim.environment import CONTROL_HZ, TabletopEnvironment
from qsft_sim.evaluation import Evaluator
from qsft_sim.rendering import make_renderer
from qsft_sim.results import EpisodeResult
from qsft_sim.rollout import TraceObserver, roll_out
from qsft_sim.video import film_of, write_video
from vlm_qsft.data.storage import remove_partials

# Large enough for people; the policy still sees its own size.
PICTURE_SIZE = (224, 224)


@dataclass(frozen=True)
class Example:
    """One kept episode: "success" or "failure", its result, the files written."""

    ending: str
    result: EpisodeResult
    trace_path: Path
    video_path: Path


def write_examples(evaluator: Evaluator, results: Sequence[EpisodeResult], folder: Path) -> list[Example]:
    """Write `trace-success.npz`, `videos/success.mp4` and the same for a failure, where there are such episodes.

    The chosen episodes are run again, which gives the same episodes: scenes and policies are seeded.

    Args:
        evaluator: what gave the results; its policy may explain more of its decisions, as long as they stay the same.
        results: of `evaluation.evaluate`.
        folder: of the policy, `evaluation/<policy>` of a run.

    Raises:
        StorageError: disk full, or no permission.
    """
    chosen = {
        ending: next((result for result in results if result.success == success), None)
        for ending, success in (("success", True), ("failure", False))
    }
    if not any(chosen.values()):
        return []
    for place in (folder, folder / "videos"):
        remove_partials(place)
    policy = evaluator.make_policy()
    environment = TabletopEnvironment(evaluator.environment)
    cameras = evaluator.environment.cameras or ("front",)
    renderer = make_renderer(environment.world.model, PICTURE_SIZE, back_end=evaluator.environment.back_end)
    examples = []
    for ending, result in chosen.items():
        if result is None:
            continue
        observer = TraceObserver(renderer, cameras, policy)
        again = roll_out(
            environment,
            policy,
            task=result.task,
            base=result.base,
            episode=result.episode,
            settings=result.settings,
            simulator=result.simulator,
            identity=result.policy,
            observer=observer,
        )
        trace = observer.trace(again)
        example = Example(ending, again, folder / f"trace-{ending}.npz", folder / "videos" / f"{ending}.mp4")
        trace.save(example.trace_path)
        write_video(example.video_path, film_of(trace), fps=CONTROL_HZ)
        examples.append(example)
    renderer.close()
    environment.close()
    return examples
