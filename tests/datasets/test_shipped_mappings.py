"""The mapping files of the well-known sets: fields as in mapping.py, and for sets with a sample: it fits completely."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import pytest
import yaml

from qsft_datasets.lerobot import open_source
from qsft_datasets.mapping import CameraMapping, GripperMapping, Mapping, OutcomeMapping, VectorPart

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDER = Path(__file__).resolve().parents[2] / "datasets" / "qsft_datasets" / "mappings"
FILES = sorted(FOLDER.rglob("*.yaml"))
PARTS = {"cameras": CameraMapping, "state": VectorPart, "action": VectorPart, "gripper": GripperMapping}
UNDECIDED = "decide"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data)."
)


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def by_name(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def check_fields(record: dict[str, Any], kind: type) -> None:
    names = {field.name for field in fields(kind)}
    required = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    assert set(record) <= names, set(record) - names
    assert required <= set(record), required - set(record)


def used_paths(mapping: dict[str, Any]) -> set[str]:
    """Return every feature that the mapping takes something from."""
    parts = [*mapping["cameras"], *mapping.get("state", []), *mapping["action"]]
    single = [mapping.get(name) for name in ("instruction", "reward", "terminated")]
    outcome = mapping["outcome"]
    single.append(outcome.get("path"))
    several = [*mapping.get("keep", {}).values(), *mapping.get("attributes", {}).values()]
    return {part["path"] for part in parts} | {path for path in [*single, *several] if path}


def columns_left(mapping: dict[str, Any], widths: dict[str, int]) -> dict[str, set[int]]:
    """Return the numbers of state and action features that no part takes."""
    left: dict[str, set[int]] = {}
    for part in [*mapping.get("state", []), *mapping["action"]]:
        path = part["path"]
        columns = part.get("columns", range(widths[path]))
        assert len(columns) == len(part["names"]), path
        left[path] = left.get(path, set(range(widths[path]))) - set(columns)
    return left


def assert_fits(mapping: dict[str, Any], widths: dict[str, int]) -> None:
    """Hold a mapping against the features of a sample: path -> numbers per step."""
    used, ignored = used_paths(mapping), set(mapping.get("ignore", {}))
    assert used <= set(widths), f"not in the sample: {sorted(used - set(widths))}"
    assert set(widths) <= used | ignored, f"left over: {sorted(set(widths) - used - ignored)}"
    assert used & ignored == set()
    kept = {*mapping.get("keep", {}).values()}
    assert {path: left for path, left in columns_left(mapping, widths).items() if left and path not in kept} == {}


@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_a_mapping_file_has_the_fields_of_the_records_and_no_others(path: Path):
    mapping = load(path)
    check_fields(mapping, Mapping)
    for key, kind in PARTS.items():
        for part in mapping.get(key, []):
            check_fields(part, kind)
    check_fields(mapping["outcome"], OutcomeMapping)
    assert (mapping.get("instruction") is None) != (mapping.get("instruction_text") is None)
    assert all(part.get("meaning") in ("absolute", "delta", "velocity") for part in mapping["action"])
    assert all("meaning" not in part for part in mapping.get("state", []))
    names = [name for part in mapping["action"] for name in part["names"]]
    assert len(set(names)) == len(names)
    assert {gripper["name"] for gripper in mapping.get("gripper", [])} <= set(names)
    assert used_paths(mapping) & set(mapping.get("ignore", {})) == set()
    assert all(isinstance(reason, str) and reason for reason in mapping.get("ignore", {}).values())


@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_every_mapping_names_its_sources_and_only_those_apart_leave_decisions(path: Path):
    text, mapping = path.read_text(encoding="utf-8"), load(path)
    assert text.startswith("# ") and "\n# Sources" in text
    is_undecided = any(line.split("#")[0].rstrip().endswith(f": {UNDECIDED}") for line in text.splitlines())
    assert is_undecided == (path.parent.name == "undecided")
    if not is_undecided:
        assert Fraction(str(mapping["fps"])) > 0


def test_every_set_that_is_asked_for_has_a_mapping():
    sets = {path.stem for path in FILES}
    assert sets >= {
        *("bridge_dataset", "bridge", "fractal20220817_data", "kuka", "droid", "bc_z", "mt_opt_rlds"),
        *("robomimic_lift_low_dim", "robomimic_lift_image", "libero", "pusht", "gr00t_picknplace"),
        *("aloha", "aloha_sim_transfer_cube", "aloha_sim_insertion"),
    }


def rlds_widths(node: dict[str, Any], name: str = "") -> Iterator[tuple[str, int]]:
    """Yield (path, numbers) of features.json; features of steps without "steps/"."""
    if "featuresDict" in node:
        for key, child in node["featuresDict"]["features"].items():
            yield from rlds_widths(child, f"{name}/{key}" if name else key)
    elif "sequence" in node:
        yield from rlds_widths(node["sequence"]["feature"], name)
    else:
        shape = node.get("tensor", {}).get("shape", {}).get("dimensions", [])
        width = 1
        for side in shape:
            width *= int(side)
        yield name.removeprefix("steps/"), width


@needs_samples
@pytest.mark.parametrize(
    ("sample", "name"),
    [
        ("bridge_dataset/1.0.0", "bridge_dataset.yaml"),
        ("tfds_bridge_dummy/1.0.0", "bridge.yaml"),
        ("mt_opt_rlds/1.0.0", "undecided/mt_opt_rlds.yaml"),
    ],
)
def test_an_rlds_mapping_fits_its_sample(sample: str, name: str):
    features = json.loads((SAMPLES / "rlds" / sample / "features.json").read_text())
    assert_fits(load(FOLDER / name), dict(rlds_widths(features)))


@needs_samples
@pytest.mark.parametrize(
    ("sample", "name"),
    [
        ("tfds_robomimic_ph/lift_low_dim.hdf5", "robomimic_lift_low_dim.yaml"),
        ("tfds_robomimic_mh/lift_image.hdf5", "robomimic_lift_image.yaml"),
    ],
)
def test_a_robomimic_mapping_fits_its_sample(sample: str, name: str):
    widths: dict[str, int] = {}
    with h5py.File(SAMPLES / "hdf5" / sample) as file:
        demo = file["data/demo_0"]
        assert isinstance(demo, h5py.Group)

        def add(path: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                widths[path] = item.shape[1] if len(item.shape) == 2 else 1

        demo.visititems(add)
        masks = file["mask"]
        assert isinstance(masks, h5py.Group)
        widths |= {f"attributes/demo/{key}": 1 for key in demo.attrs} | {f"mask/{key}": 1 for key in masks}
        rewards = demo["rewards"]
        assert isinstance(rewards, h5py.Dataset)
        assert rewards[-1] == 1.0
    assert_fits(load(FOLDER / name), widths)


@needs_samples
def test_the_gr00t_mapping_fits_its_sample_and_names_the_parts_as_its_metadata_does():
    root = SAMPLES / "lerobot" / "gr00t_picknplace_v20"
    mapping, description = load(FOLDER / "gr00t_picknplace.yaml"), open_source(root).description
    widths = {feature.path: feature.shape[0] if len(feature.shape) == 1 else 1 for feature in description.features}
    assert_fits(mapping, {path: width or 0 for path, width in widths.items()})
    assert Fraction(str(mapping["fps"])) == description.fps
    modality = json.loads((root / "meta/modality.json").read_text())
    for key in ("state", "action"):
        names = mapping[key][0]["names"]
        for part, place in modality[key].items():
            expected = [f"{part}_{number}" for number in range(place["end"] - place["start"])]
            assert names[place["start"] : place["end"]] == expected


PUBLISHED = {
    # Steps and episodes of tensorflow.org/datasets/catalog, copied by hand.
    "fractal20220817_data.yaml": (
        [
            *("action/base_displacement_vector", "action/base_displacement_vertical_rotation"),
            *("action/gripper_closedness_action", "action/rotation_delta", "action/terminate_episode"),
            *("action/world_vector", "is_first", "is_last", "is_terminal", "reward"),
            *("observation/base_pose_tool_reached", "observation/gripper_closed"),
            *("observation/gripper_closedness_commanded", "observation/height_to_bottom", "observation/image"),
            *("observation/natural_language_embedding", "observation/natural_language_instruction"),
            *("observation/orientation_box", "observation/orientation_start"),
            *("observation/robot_orientation_positions_box", "observation/rotation_delta_to_go"),
            *("observation/src_rotation", "observation/vector_to_go", "observation/workspace_bounds"),
            *(f"aspects/{name}" for name in ("already_success", "feasible", "has_aspects", "success", "undesirable")),
            *(
                f"attributes/{name}{suffix}"
                for name in ("collection_mode", "data_type", "env", "location", "objects_family", "task_family")
                for suffix in ("", "_name")
            ),
        ]
    ),
    "kuka.yaml": [
        *("action/base_displacement_vector", "action/base_displacement_vertical_rotation"),
        *("action/gripper_closedness_action", "action/rotation_delta", "action/terminate_episode"),
        *("action/world_vector", "is_first", "is_last", "is_terminal", "reward", "success"),
        *("observation/clip_function_input/base_pose_tool_reached", "observation/gripper_closed"),
        *("observation/clip_function_input/workspace_bounds", "observation/height_to_bottom", "observation/image"),
        *("observation/natural_language_embedding", "observation/natural_language_instruction"),
        "observation/task_id",
    ],
    "bc_z.yaml": [
        *("action/future/axis_angle_residual", "action/future/target_close", "action/future/xyz_residual"),
        *("is_first", "is_last", "is_terminal", "reward", "observation/episode_success", "observation/image"),
        *("observation/natural_language_embedding", "observation/natural_language_instruction"),
        *("observation/present/autonomous", "observation/present/axis_angle", "observation/present/intervention"),
        *("observation/present/sensed_close", "observation/present/xyz", "observation/sequence_length"),
    ],
    "bridge.yaml": [
        *("action/open_gripper", "action/rotation_delta", "action/terminate_episode", "action/world_vector"),
        *("is_first", "is_last", "is_terminal", "reward", "observation/image", "observation/state"),
        *("observation/natural_language_embedding", "observation/natural_language_instruction"),
    ],
    "droid.yaml": [
        *("action", "discount", "reward", "is_first", "is_last", "is_terminal"),
        *("language_instruction", "language_instruction_2", "language_instruction_3"),
        *(
            f"action_dict/{kind}_{what}"
            for kind in ("cartesian", "gripper", "joint")
            for what in ("position", "velocity")
        ),
        *(f"observation/{name}_position" for name in ("cartesian", "gripper", "joint")),
        *("observation/exterior_image_1_left", "observation/exterior_image_2_left", "observation/wrist_image_left"),
        *("episode_metadata/file_path", "episode_metadata/recording_folderpath"),
    ],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_mapping_without_a_sample_covers_the_published_features_and_no_others(name: str):
    mapping, published = load(FOLDER / name), set(PUBLISHED[name])
    assert used_paths(mapping) <= published, sorted(used_paths(mapping) - published)
    assert published <= used_paths(mapping) | set(mapping["ignore"])
