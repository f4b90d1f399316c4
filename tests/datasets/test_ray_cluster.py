"""Ray: the same bytes from a cluster of two nodes as from this process alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from qsft_datasets.dataset_conversion import ConversionSettings, convert_dataset
from qsft_datasets.mapping import Mapping
from qsft_datasets.ray_cluster import run_on_ray
from vlm_qsft.cli.main import main
from vlm_qsft.errors import DatasetError, InvalidSetting, MissingDependency

from . import scripted_source
from .scripted_source import ScriptedSource

try:
    import ray  # type: ignore[import-not-found]
    from ray.cluster_utils import Cluster  # type: ignore[import-not-found]
except ModuleNotFoundError:
    ray = None

SAMPLE = Path(__file__).resolve().parents[3] / "shared/data/rlds/bridge_dataset"


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.skipif(ray is not None, reason="ray is installed")
def test_without_ray_the_remedy_is_named(source: ScriptedSource, mapping: Mapping, tmp_path: Path) -> None:
    run = partial(run_on_ray, address="auto", workers=None)
    with pytest.raises(MissingDependency, match=r"pip install 'vlm-qsft\[ray\]'"):
        convert_dataset(source, mapping, tmp_path / "set", settings=ConversionSettings(), run=run)


needs_ray = pytest.mark.skipif(ray is None, reason="ray is not installed: `make test-optional` runs this test")


@needs_ray
def test_no_cluster_at_an_address_is_one_line(source: ScriptedSource, mapping: Mapping, tmp_path: Path) -> None:
    # Before the fixture starts one: "auto" is any cluster of this machine.
    run = partial(run_on_ray, address="auto", workers=None)
    with pytest.raises(InvalidSetting, match="There is no Ray cluster at 'auto'"):
        convert_dataset(source, mapping, tmp_path / "set", settings=ConversionSettings(), run=run)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with one core each."""
    # The nodes cannot import this folder: what the scripted source is made of travels with it.
    assert ray is not None
    ray.cloudpickle.register_pickle_by_value(scripted_source)
    cluster = Cluster()
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    yield cluster.address
    cluster.shutdown()


@needs_ray
@pytest.mark.timeout(900)
@pytest.mark.parametrize("actors", [None, 1, 2])
def test_a_cluster_of_two_nodes_writes_the_same_bytes_with_any_number_of_actors(
    actors: int | None, address: str, source: ScriptedSource, mapping: Mapping, tmp_path: Path
) -> None:
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    convert_dataset(source, mapping, alone, settings=ConversionSettings())
    run = partial(run_on_ray, address=address, workers=actors)
    convert_dataset(source, mapping, spread, settings=ConversionSettings(), run=run)
    assert content(spread) == content(alone)


@needs_ray
@pytest.mark.timeout(900)
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="The third-party samples are not beside this repository.")
def test_a_real_set_has_the_same_bytes_from_a_cluster_as_from_one_two_and_three_processes(
    address: str, tmp_path: Path
) -> None:
    def converted(name: str, *words: str) -> dict[str, bytes]:
        target = tmp_path / name
        assert main(["convert", str(SAMPLE), str(target), "--outcome", "assume-success", *words]) == 0
        return content(target)

    spread = converted("spread", "--ray", address)
    for workers in ("1", "2", "3"):
        assert converted(f"alone-{workers}", "--workers", workers) == spread


@needs_ray
@pytest.mark.timeout(900)
def test_a_bad_episode_on_the_cluster_is_our_own_error(
    address: str, source: ScriptedSource, mapping: Mapping, tmp_path: Path
) -> None:
    bad = ScriptedSource(source.root, bad=(3,))
    run = partial(run_on_ray, address=address, workers=2)
    with pytest.raises(DatasetError, match=r"Episode 'shard-0#3': shard-0, record 3"):
        convert_dataset(bad, mapping, tmp_path / "set", settings=ConversionSettings(), run=run)
    summary = convert_dataset(bad, mapping, tmp_path / "set", settings=ConversionSettings(skip_bad=True), run=run)
    assert (summary.episodes_out, len(summary.refused)) == (5, 1)
