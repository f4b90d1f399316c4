from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from qsft_sim.demonstrators import Demonstrator
from qsft_sim.environment import EnvironmentSettings
from qsft_sim.evaluation import Evaluator, evaluate
from qsft_sim.examples import write_examples
from qsft_sim.qualities import Quality
from qsft_sim.seeds import EVALUATION
from qsft_sim.trace import Trace
from qsft_sim.video import write_video
from vlm_qsft.errors import ShapeMismatch

SETTINGS = EnvironmentSettings(cameras=("front",), image_size=(16, 16), max_steps=15)


def half_distracted() -> Demonstrator:
    return Demonstrator(Quality("half_distracted", wrong_object=0.4))


def test_the_first_success_and_the_first_failure_are_kept_with_trace_and_film(tmp_path: Path) -> None:
    evaluator = Evaluator(half_distracted, SETTINGS, {})
    results = evaluate(
        half_distracted, task="pick", episodes=6, base=EVALUATION, out=tmp_path / "r.jsonl", environment=SETTINGS
    )
    expected = {
        "success": next(result for result in results if result.success),
        "failure": next(result for result in results if not result.success),
    }
    examples = {example.ending: example for example in write_examples(evaluator, results, tmp_path)}
    assert set(examples) == {"success", "failure"}
    for ending, example in examples.items():
        assert example.result.to_json() == expected[ending].to_json()  # run again, it is the same episode
        trace, steps = Trace.load(tmp_path / f"trace-{ending}.npz"), expected[ending].steps
        assert trace.result.to_json() == expected[ending].to_json()
        assert trace.frames.shape == (steps, 1, 224, 224, 3)
        assert trace.action_names == ("dx", "dy", "dz", "dyaw", "gripper")
        assert trace.period_s == 0.2
        assert (trace.value.shape, trace.n_bins) == ((steps,), 0)
        with av.open(tmp_path / "videos" / f"{ending}.mp4") as film:
            pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(pictures) == steps and pictures[0].shape == (224, 224, 3)


def test_without_a_failure_only_the_success_is_kept(tmp_path: Path) -> None:
    results = evaluate(
        Demonstrator, task="pick", episodes=1, base=EVALUATION, out=tmp_path / "r.jsonl", environment=SETTINGS
    )
    examples = write_examples(Evaluator(Demonstrator, SETTINGS), results, tmp_path)
    assert [example.ending for example in examples] == ["success"]


def test_a_film_shows_its_frames_in_order(tmp_path: Path) -> None:
    frames = np.zeros((5, 33, 48, 3), np.uint8)
    frames += np.arange(0, 250, 50, dtype=np.uint8)[:, None, None, None]
    write_video(tmp_path / "grey.mp4", frames, fps=5)
    with av.open(tmp_path / "grey.mp4") as film:
        brightness = [frame.to_ndarray(format="rgb24").mean() for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 5
    np.testing.assert_allclose(brightness, [0, 50, 100, 150, 200], atol=3)


def test_frames_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatch, match="uint8"):
        write_video(tmp_path / "wrong.mp4", np.zeros((2, 4, 4), np.uint8), fps=5)
