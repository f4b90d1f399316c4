from __future__ import annotations

import numpy as np
import pytest

from qsft_sim.randomisation import VARIANTS, SceneVariant
from qsft_sim.scene import COLOURS, HELD_OUT_PAIRS, Scene, draw_scene
from qsft_sim.seeds import EVALUATION, RECORDING, TUNING, policy_seed, scene_seed
from vlm_qsft.errors import InvalidSetting, UnknownName

MANY = 100


def scenes(task: str = "pick", variant: str = "standard", n_distractors: tuple[int, int] = (1, 2)) -> list[Scene]:
    return [
        draw_scene(np.random.default_rng(seed), task, variant=VARIANTS[variant], n_distractors=n_distractors)
        for seed in range(MANY)
    ]


def pairs(scene: Scene) -> list[tuple[str, str]]:
    return [(thing.colour, thing.shape) for thing in scene.objects]


def test_equal_seeds_give_equal_scenes() -> None:
    first, second = scenes()[3], scenes()[3]
    assert first.objects == second.objects
    assert (first.target, first.reference, first.instruction) == (second.target, second.reference, second.instruction)
    for name in ("camera_offset_m", "table_colour", "home_offset_rad"):
        np.testing.assert_array_equal(getattr(first.conditions, name), getattr(second.conditions, name))


def test_no_two_objects_of_a_scene_have_the_same_description() -> None:
    for scene in scenes("near", "more_distractors"):
        assert len({thing.description for thing in scene.objects}) == len(scene.objects)


def test_held_out_pairs_are_never_on_the_table_in_the_standard_variant() -> None:
    assert not any(pair in HELD_OUT_PAIRS for scene in scenes() for pair in pairs(scene))


def test_the_held_out_variant_asks_for_held_out_pairs_among_objects_of_seen_pairs() -> None:
    for scene in scenes(variant="held_out_pairs"):
        target, *others = pairs(scene)
        assert target in HELD_OUT_PAIRS
        assert not any(pair in HELD_OUT_PAIRS for pair in others)


def test_every_word_of_a_held_out_pair_is_seen_in_the_standard_variant() -> None:
    words = {word for scene in scenes() for word in scene.instruction.split()}
    assert words >= set(COLOURS)
    assert words >= {shape for _, shape in HELD_OUT_PAIRS}


@pytest.mark.parametrize(("task", "named"), [("pick", 1), ("near", 2)])
def test_the_number_of_distractors_covers_the_asked_range(task: str, named: int) -> None:
    assert {len(scene.objects) - named for scene in scenes(task, n_distractors=(1, 3))} == {1, 2, 3}


def test_objects_leave_room_for_the_gripper_and_a_reference_is_not_near_yet() -> None:
    for scene in scenes("near", n_distractors=(2, 2)):
        places = np.array([thing.position_m for thing in scene.objects])
        distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
        assert distances[np.triu_indices(len(places), 1)].min() > 0.11
        assert distances[scene.target, scene.reference] > 0.16


def test_an_instruction_names_the_target_and_the_reference() -> None:
    scene = scenes("near")[0]
    target, reference = scene.objects[scene.target], scene.objects[scene.reference]
    assert scene.instruction == (
        f"move the {target.colour} {target.shape} near the {reference.colour} {reference.shape}"
    )


def test_another_target_changes_the_instruction_and_nothing_else() -> None:
    scene = scenes("pick")[0]
    other = scene.with_target(1)
    assert other.instruction == f"pick up the {scene.objects[1].description}"
    assert other.objects == scene.objects
    assert other.conditions is scene.conditions


def test_target_and_reference_change_places_when_the_reference_becomes_the_target() -> None:
    scene = scenes("near")[0]
    other = scene.with_target(scene.reference)
    assert (other.target, other.reference) == (scene.reference, scene.target)


def test_more_objects_than_there_are_bodies_are_refused_with_the_limit() -> None:
    with pytest.raises(InvalidSetting, match="high <= 4"):
        draw_scene(np.random.default_rng(0), "near", variant=VARIANTS["standard"], n_distractors=(1, 5))


def test_an_unknown_task_lists_the_tasks() -> None:
    with pytest.raises(UnknownName, match="near, pick"):
        draw_scene(np.random.default_rng(0), "stack", variant=VARIANTS["standard"], n_distractors=(1, 1))


def test_a_camera_shift_has_the_declared_length() -> None:
    still = SceneVariant("shift", camera_jitter_m=0.0, camera_shift_m=0.05)
    scene = draw_scene(np.random.default_rng(0), "pick", variant=still, n_distractors=(1, 1))
    offsets = np.linalg.norm(scene.conditions.camera_offset_m, axis=1)
    np.testing.assert_allclose(offsets, [0.05, 0.0, 0.05], atol=1e-12)  # front, wrist, over


@pytest.mark.parametrize("wrong", [{"light": (1.2, 0.7)}, {"table_tint": -0.1}, {"friction": (-1.0, 1.0)}])
def test_a_variant_with_an_impossible_range_is_refused(wrong: dict) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        SceneVariant("wrong", **wrong)


def test_recording_tuning_and_evaluation_share_no_scene() -> None:
    seeds = [scene_seed(base, "pick", episode) for base in (RECORDING, TUNING, EVALUATION) for episode in range(500)]
    assert len(set(seeds)) == len(seeds)


def test_seeds_are_as_documented_and_differ_by_purpose() -> None:
    # CRC-32 of "pick" by the bitwise definition, not by zlib.
    crc = 0xFFFFFFFF
    for byte in b"pick":
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
    words = [EVALUATION, crc ^ 0xFFFFFFFF, 7, 0, 0]
    expected = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0]) // 2
    assert scene_seed(EVALUATION, "pick", 7) == expected
    assert len({expected, policy_seed(EVALUATION, "pick", 7), scene_seed(EVALUATION, "pick", 7, seed=1)}) == 3
