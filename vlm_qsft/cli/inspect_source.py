"""Robot logs of a foreign format: features, rates, ranges, sample pictures, and the mapping that they propose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlm_qsft.cli.table import table
from vlm_qsft.errors import DatasetError, QsftError
from vlm_qsft.images import encode_png

if TYPE_CHECKING:
    from qsft_datasets.sampling import EpisodeSample
    from qsft_datasets.source import EpisodeReference, Source, SourceDescription, SourceFeature

TEXT_LENGTH = 60


def describe_source(root: Path, *, write_mapping: Path | None, out: Path | None) -> str:
    """Return what is in a folder of robot logs; write the proposed mapping and sample pictures where asked.

    Args:
        write_mapping: file of the proposed mapping; one that is there is not overwritten.
        out: folder of the sample pictures.
    Raises:
        DatasetError: no known format, or damaged; the mapping file is there already.
    """
    from qsft_datasets.dataset_conversion import ResampledSource
    from qsft_datasets.proposal import propose
    from qsft_datasets.registry import find_source
    from qsft_datasets.sampling import PROVISIONAL_RATE, sample_episodes

    if write_mapping is not None and write_mapping.exists():
        raise DatasetError(f"{write_mapping} is there already. Choose another file, or delete it.")
    source = find_source(root)
    description = source.description
    is_resampled = isinstance(source, ResampledSource)
    opened = source.at_rate(description.fps or PROVISIONAL_RATE) if is_resampled else source
    references = opened.references()
    samples, failure = [], ""
    try:
        samples = sample_episodes(source)
    except QsftError as error:
        failure = f"No episode could be looked at: {error}"
    parts = [
        f"{root}\n{table(('', ''), facts(description, references))}",
        table(("feature", "kind", "type", "shape", "per", "seen", "note"), feature_rows(description, samples)),
    ]
    if is_resampled and description.fps is None:
        parts.append(f"Looked at with {PROVISIONAL_RATE} steps per second; the rate is yours to decide.")
    if failure:
        parts.append(failure)
    elif out is not None:
        parts.append("\n".join(["Sample pictures:", *(f"  {path}" for path in write_pictures(samples, out))]))
    elif any(feature.kind in ("image", "video") for feature in description.features):
        parts.append(
            "Sample pictures: give --out FOLDER and look at them; colours and turns cannot be seen in numbers."
        )
    try:
        parts.append(mapping_text_of(source, write_mapping, propose(description, samples)))
    except DatasetError as error:
        parts.append(f"No mapping can be proposed: {error}")
    return "\n\n".join(parts)


def facts(description: SourceDescription, references: Sequence[EpisodeReference]) -> list[tuple[str, str]]:
    """Return what is known of the whole."""
    splits = Counter(reference.split or "no split" for reference in references)
    return [
        ("name", description.name),
        ("format", description.format),
        ("rate", f"{description.fps} steps/s" if description.fps else "not stated"),
        ("robot", description.robot_type or "not stated"),
        ("episodes", f"{len(references)} ({', '.join(f'{split}: {count}' for split, count in splits.items())})"),
        ("first episode", references[0].key if references else "none"),
    ]


def feature_rows(description: SourceDescription, samples: Sequence[EpisodeSample]) -> list[tuple[str, ...]]:
    """Return one line per feature, with the range of its numbers or a text of it in the samples."""
    return [
        (
            feature.path,
            feature.kind,
            feature.dtype,
            " x ".join("?" if side is None else str(side) for side in feature.shape) or "scalar",
            "episode" if feature.per_episode else "step",
            seen(feature, samples),
            " ".join(feature.note.split())[:TEXT_LENGTH],
        )
        for feature in description.features
    ]


def seen(feature: SourceFeature, samples: Sequence[EpisodeSample]) -> str:
    """Return what the samples hold of a feature."""
    path = feature.path
    pictures = [picture for sample in samples for picture in sample.pictures.get(path, ())]
    if pictures:
        height, width = pictures[0].shape[:2]
        return f"{height} x {width} pixels" + ("" if any(picture.any() for picture in pictures) else ", black")
    texts = [text for sample in samples for text in sample.texts.get(path, ())[:1]]
    values = [sample.numbers[path] for sample in samples if path in sample.numbers]
    for sample in samples:
        value = sample.episode.get(path)
        if isinstance(value, (str, bytes)):
            texts.append(value if isinstance(value, str) else value.decode(errors="replace"))
        elif value is not None:
            values.append(np.asarray(value))
    if texts:
        return f"'{' '.join(texts[0].split())[:TEXT_LENGTH]}'"
    values = [value for value in values if value.size and value.dtype.kind in "biufV"]
    if not values:
        return "nothing in the sampled episodes" if samples else ""
    numbers = np.concatenate([value.reshape(-1).astype(np.float64) for value in values])
    finite = numbers[np.isfinite(numbers)]
    bad = "" if finite.size == numbers.size else f", {numbers.size - finite.size} NaN or infinite"
    return (f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "no finite number") + bad


def write_pictures(samples: Sequence[EpisodeSample], out: Path) -> list[Path]:
    """Write the sampled pictures as PNG and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, sample in enumerate(samples):
        for feature, pictures in sample.pictures.items():
            camera = "".join(letter if letter.isalnum() else "_" for letter in feature).strip("_")
            for place, picture in enumerate(pictures):
                path = out / f"{camera}-episode_{number}-{('first', 'middle', 'last')[place]}.png"
                path.write_bytes(encode_png(picture))
                paths.append(path)
    return paths


def mapping_text_of(source: Source, write_mapping: Path | None, proposal: str) -> str:
    """Return where the proposed mapping is, or the mapping itself; says which one ships."""
    from qsft_datasets.shipped import find_shipped

    shipped = find_shipped(source)
    known = f"The shipped mapping '{shipped.name}' is made for this data set. " if shipped else ""
    if write_mapping is None:
        return f"{known}Proposed mapping (--write-mapping FILE writes it):\n\n{proposal}"
    write_mapping.parent.mkdir(parents=True, exist_ok=True)
    write_mapping.write_text(proposal)
    return f"{known}Wrote the proposed mapping to {write_mapping}: review it, then `qsft convert ... --mapping`."
