"""One episode: every number and pixel equals the source's, and what does not fit is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from qsft_datasets.conversion import EpisodeConversion, schema_of
from qsft_datasets.mapping import CameraMapping, Mapping, OutcomeMapping, VectorPart
from qsft_datasets.outcome_file import OutcomeRow
from qsft_datasets.source import SourceFeature, StepValues
from vlm_qsft.data import Episode, LabelSettings
from vlm_qsft.data.episode import label_columns
from vlm_qsft.errors import DatasetError, InvalidSetting, ShapeMismatch

from .scripted_source import FEATURES, SIZE, STEPS, ScriptedSource, picture, scripted_steps


def converted(
    source: ScriptedSource, mapping: Mapping, number: int = 0, *, rule: str = "binary01", outcomes: Any = None
) -> Episode:
    references = source.references()
    schema = schema_of(mapping, source.description, source.read(references[0]), storage="image")
    conversion = EpisodeConversion(mapping, source.description, schema, rule, outcomes)
    return conversion(source.read(references[number]), references[number])


def changed(source: ScriptedSource, **values: StepValues) -> ScriptedSource:
    return replace(source, changes={path.replace("__", "/"): value for path, value in values.items()})


def with_type(dtype: str, path: str) -> tuple[SourceFeature, ...]:
    return tuple(replace(feature, dtype=dtype) if feature.path == path else feature for feature in FEATURES)


def test_every_number_equals_the_source_and_the_padding_step_is_left_out(
    source: ScriptedSource, mapping: Mapping
) -> None:
    steps = scripted_steps(0, STEPS)
    episode = converted(source, mapping)
    for ours, path in (
        (episode.state, "observation/state"),
        (episode.action, "action"),
        (episode.kept["joint"], "joint"),
    ):
        theirs = np.asarray(steps[path])[:-1]
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(episode.kept["source.reward"][:, 0], np.asarray(steps["reward"])[:-1])
    assert episode.length == STEPS - 1
    assert episode.attributes == {
        "source_key": "shard-0#0",
        "source_file": "shard-0",
        "source_split": "train",
        "outcome_source": "reward",
        "scene": 0,
    }
    assert episode.instruction == "pick up cube 0"


def test_a_last_step_with_an_action_stays(source: ScriptedSource, mapping: Mapping) -> None:
    assert converted(source, replace(mapping, last_step="action")).length == STEPS


def test_jpeg_and_png_bytes_pass_through_where_nothing_changes(source: ScriptedSource, mapping: Mapping) -> None:
    episode, steps = converted(source, mapping), scripted_steps(0, STEPS)
    assert episode.images["front"] == list(steps["observation/image_0"])[:-1]
    assert episode.images["wrist"] == list(steps["observation/wrist"])[:-1]


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
def test_pictures_are_turned_clockwise_and_their_colours_put_in_order(
    source: ScriptedSource, mapping: Mapping, turn_deg: int
) -> None:
    camera = CameraMapping("wrist", "observation/wrist", channels="bgr", turn_deg=turn_deg)
    episode = converted(source, replace(mapping, cameras=(camera,)))
    turns = {
        90: cv2.ROTATE_90_CLOCKWISE,
        180: cv2.ROTATE_180,
        270: cv2.ROTATE_90_COUNTERCLOCKWISE,
    }
    expected = picture(100, 1)[..., ::-1]
    expected = cv2.rotate(expected, turns[turn_deg]) if turn_deg else expected
    content = episode.images["wrist"][1]  # type: ignore[index]
    assert content.startswith(b"\x89PNG")  # type: ignore[union-attr]
    np.testing.assert_array_equal(decoded(content), expected)


def decoded(content: object) -> np.ndarray:
    assert isinstance(content, bytes)
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    return cv2.cvtColor(shown, cv2.COLOR_BGR2RGB)


def test_a_camera_is_resized_to_the_size_of_the_mapping(source: ScriptedSource, mapping: Mapping) -> None:
    camera = CameraMapping("wrist", "observation/wrist", size=(12, 16))
    episode = converted(source, replace(mapping, cameras=(camera,)))
    expected = cv2.resize(picture(100, 0), (16, 12), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(decoded(episode.images["wrist"][0]), expected)  # type: ignore[index]


def test_tensorflow_pixels_are_stored_losslessly_and_differ_from_opencv(
    source: ScriptedSource, mapping: Mapping
) -> None:
    simplejpeg = pytest.importorskip("simplejpeg", reason="simplejpeg is not installed")
    content = list(scripted_steps(0, STEPS)["observation/image_0"])[2]
    episode = converted(source, replace(mapping, jpeg="tensorflow"))
    expected = simplejpeg.decode_jpeg(content, fastdct=True, fastupsample=False)
    np.testing.assert_array_equal(decoded(episode.images["front"][2]), expected)  # type: ignore[index]
    # PNG has one reading
    assert episode.images["wrist"] == list(scripted_steps(0, STEPS)["observation/wrist"])[:-1]


def test_grey_and_raw_pictures_become_colour(source: ScriptedSource, mapping: Mapping) -> None:
    grey = np.arange(STEPS * SIZE[0] * SIZE[1], dtype=np.int64).reshape(STEPS, *SIZE).astype(np.uint8)
    coded = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in grey]
    episode = converted(changed(source, observation__image_0=coded, observation__wrist=grey[..., None]), mapping)
    raw = episode.images["wrist"]
    assert isinstance(raw, np.ndarray)
    np.testing.assert_array_equal(raw, np.repeat(grey[:-1, ..., None], 3, axis=-1))
    # one colour in the file: LeRobot would hand out another shape, so it is stored with three
    assert decoded(episode.images["front"][0]).shape == (*SIZE, 3)  # type: ignore[index]


def test_numbers_that_float32_cannot_hold_make_the_column_float64(source: ScriptedSource, mapping: Mapping) -> None:
    ticks = 2**40 + np.arange(STEPS * 4, dtype=np.int64).reshape(STEPS, 4)
    wide = replace(changed(source, action=ticks), features=with_type("int64", "action"))
    action = converted(wide, mapping).action
    assert action.dtype == np.float64
    np.testing.assert_array_equal(action.astype(np.int64), ticks[:-1])
    with pytest.raises(DatasetError, match=r"'action' holds \d+, which float64 cannot hold exactly"):
        converted(replace(wide, changes={"action": ticks + 2**60}), mapping)


def test_small_integers_stay_in_a_float32_column(source: ScriptedSource, mapping: Mapping) -> None:
    bits = (np.arange(STEPS * 4).reshape(STEPS, 4) % 2).astype(np.uint8)
    action = converted(replace(changed(source, action=bits), features=with_type("uint8", "action")), mapping).action
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, bits[:-1])


def test_parts_are_taken_by_column_scaled_and_joined(source: ScriptedSource, mapping: Mapping) -> None:
    parts = (
        VectorPart("action", ("grip",), columns=(3,), meaning="absolute", scale=-2.0, offset=1.0),
        VectorPart("action", ("dz", "dx", "dy"), columns=(2, 0, 1), meaning="delta"),
    )
    action = converted(source, replace(mapping, action=parts, gripper=())).action
    theirs = np.asarray(scripted_steps(0, STEPS)["action"])[:-1]
    np.testing.assert_array_equal(action[:, 0], (theirs[:, 3].astype(np.float64) * -2 + 1).astype(np.float32))
    np.testing.assert_array_equal(action[:, 1:], theirs[:, [2, 0, 1]])


def test_minus_zero_is_not_rounded_away(source: ScriptedSource, mapping: Mapping) -> None:
    action = converted(changed(source, action=np.full((STEPS, 4), -0.0, np.float32)), mapping).action
    assert np.signbit(action).all()


@pytest.mark.parametrize(
    ("rule", "number", "expected"),
    [
        ("outcome", 0, (True, False)),
        ("outcome", 1, (False, True)),
        ("flag", 0, (True, False)),
        ("flag", 1, (False, True)),
        ("never", 0, (False, True)),
    ],
)
def test_terminals_come_from_the_named_rule(
    source: ScriptedSource, mapping: Mapping, rule: Any, number: int, expected: tuple[bool, bool]
) -> None:
    episode = converted(source, replace(mapping, terminal_rule=rule), number)
    assert (episode.terminated, episode.truncated) == expected


OUTCOMES = {
    "reward, any step": (OutcomeMapping("reward", "reward", where="any"), True),
    # the last step is padding: the reward before it counts
    "reward, last step": (OutcomeMapping("reward", "reward", where="last"), True),
    "reward, threshold not reached": (OutcomeMapping("reward", "reward", where="any", threshold=2.0), False),
    "flag of the padding step": (OutcomeMapping("flag", "is_terminal", where="last"), True),
    "per episode": (OutcomeMapping("flag", "episode_metadata/scene", where="episode"), False),
    "file name": (OutcomeMapping("path", pattern=r"shard-\d"), True),
    "file name without a match": (OutcomeMapping("path", pattern=r"success"), False),
    "assumed": (OutcomeMapping("assume-success"), True),
    "assumed failure": (OutcomeMapping("assume-failure"), False),
    "table": (OutcomeMapping("csv", "table.csv"), False),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_success_comes_from_where_the_mapping_says(source: ScriptedSource, mapping: Mapping, name: str) -> None:
    outcome, expected = OUTCOMES[name]
    episode = converted(
        source, replace(mapping, outcome=outcome), outcomes={"shard-0#0": OutcomeRow("line 2", "shard-0#0", False)}
    )
    assert episode.success is expected
    assert label_columns(episode, LabelSettings("binary01", 0.9, outcome.source)).reward.sum() == expected
    assert episode.attributes["outcome_source"] == outcome.source.replace("assume-success", "assumed").replace(
        "assume-failure", "assumed"
    )


def test_a_table_that_knows_how_an_episode_ended_decides_on_it(source: ScriptedSource, mapping: Mapping) -> None:
    by_table = replace(mapping, outcome=OutcomeMapping("csv", "table.csv"), terminal_rule="outcome")
    for success, terminated, expected in ((True, False, False), (False, True, True), (True, None, True)):
        row = OutcomeRow("line 2", "shard-0#0", success, terminated)
        episode = converted(source, by_table, outcomes={"shard-0#0": row})
        assert (episode.success, episode.terminated, episode.truncated) == (success, expected, not expected)


def test_the_rewards_of_the_source_are_kept_by_the_rule_of_that_name(source: ScriptedSource, mapping: Mapping) -> None:
    episode = converted(source, mapping, rule="keep")
    np.testing.assert_array_equal(episode.reward, np.asarray(scripted_steps(0, STEPS)["reward"])[:-1])
    with pytest.raises(InvalidSetting, match="the mapping names none"):
        converted(source, replace(mapping, reward=None), rule="keep")


def test_an_instruction_that_changes_is_stored_per_step(source: ScriptedSource, mapping: Mapping) -> None:
    told = ["reach"] * 2 + ["grasp"] * 3
    assert converted(changed(source, language_instruction=told), mapping).instruction == told[:-1]
    assert converted(source, replace(mapping, instruction=None, instruction_text="go")).instruction == "go"


REFUSED = {
    "a camera that is not there": (
        lambda m: m,
        {"observation__wrist": [b""] * 3},
        DatasetError,
        "Camera 'wrist' has 3 pictures for 5 steps",
    ),
    "a depth map as a camera": (
        lambda m: m,
        {"observation__wrist": np.zeros((STEPS, *SIZE), np.uint16)},
        ShapeMismatch,
        "Camera 'wrist' .* holds uint16 .*A depth map is no camera",
    ),
    "other numbers than declared": (
        lambda m: m,
        {"action": np.zeros((STEPS, 3), np.float32)},
        DatasetError,
        r"'action' has \(5, 3\); expected 5 steps of 4 numbers",
    ),
    "an outcome that is NaN": (
        lambda m: m,
        {"reward": np.full(STEPS, np.nan, np.float32)},
        DatasetError,
        "'reward', which decides on success, is empty or NaN",
    ),
    "an outcome that nobody decided": (
        lambda m: replace(m, outcome=OutcomeMapping("unknown")),
        {},
        InvalidSetting,
        "How success is known is not decided",
    ),
    "a row that the table lacks": (
        lambda m: replace(m, outcome=OutcomeMapping("csv", "table.csv")),
        {},
        DatasetError,
        r"\(table.csv\) has no row for episode 'shard-0#0'",
    ),
    "text that is no text": (
        lambda m: m,
        {"language_instruction": [b"\xff\xfe"] * STEPS},
        DatasetError,
        "'language_instruction' is no text in UTF-8",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name(source: ScriptedSource, mapping: Mapping, name: str) -> None:
    change, values, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        converted(changed(source, **values), change(mapping))


def test_an_episode_of_padding_alone_is_refused(tmp_path: Path, mapping: Mapping) -> None:
    source = ScriptedSource(tmp_path, steps=2)
    schema = schema_of(mapping, source.description, source.read(source.references()[0]), storage="image")
    conversion = EpisodeConversion(mapping, source.description, schema, "binary01")
    episode = source.read(source.references()[0])
    short = replace(episode, length=1, steps={path: values[:1] for path, values in episode.steps.items()})  # type: ignore[index]
    with pytest.raises(DatasetError, match="has 1 steps, none of them with an action"):
        conversion(short, source.references()[0])
