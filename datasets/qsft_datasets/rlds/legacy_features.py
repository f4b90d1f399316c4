"""features.json as TFDS wrote it before version 4.4, translated into today's words.

{"type": "tensorflow_datasets.core.features.tensor_feature.Tensor", "content": {"shape": [7], "dtype": "float32"}}
"""

from __future__ import annotations

import json

from qsft_datasets.rlds.json_values import Json, mapping, sequence, text
from vlm_qsft.errors import DatasetError

LEAVES = {
    "Tensor": "tensor",
    "Scalar": "tensor",
    "BBoxFeature": "boundingBox",
    "Text": "text",
    "ClassLabel": "classLabel",
    "Image": "image",
    "LabeledImage": "image",
    "Video": "video",
    "Audio": "audio",
    "Translation": "translation",
    "TranslationVariableLanguages": "translation",
}


def translated(node: Json) -> Json:
    """Return a feature in today's words; one that is so already is returned as it is.

    Raises:
        DatasetError: no feature of the old kind either.
    """
    if "type" not in node or "content" not in node:
        return node
    name = text(node["type"], "the type of a feature")
    short = name.rpartition(".")[2]
    content = node["content"]
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"the content of a '{short}' is no valid JSON: {error}") from error
    content = mapping(content, f"the content of a '{short}'")
    if "proto_cls" in node:
        # The content is in today's words already; only the envelope is old.
        key = {"FeaturesDict": "featuresDict", "Sequence": "sequence", "Dataset": "sequence"}.get(short)
        return {"pythonClassName": name, key or LEAVES.get(short, short): content}
    if short == "FeaturesDict":
        children = {key: translated(mapping(child, f"feature '{key}'")) for key, child in content.items()}
        return {"pythonClassName": name, "featuresDict": {"features": children}}
    if short in ("Sequence", "Dataset"):
        length = content.get("length")
        inner = translated(mapping(content.get("feature"), "the feature of a sequence"))
        return {"pythonClassName": name, "sequence": {"feature": inner, "length": -1 if length is None else length}}
    return {"pythonClassName": name, LEAVES.get(short, short): _leaf_content(content)}


def _leaf_content(content: Json) -> Json:
    result = {key: value for key, value in content.items() if value is not None}
    if isinstance(result.get("shape"), list):
        axes = sequence(result["shape"], "a shape")
        result["shape"] = {"dimensions": [-1 if axis is None else axis for axis in axes]}
    return result
