"""GgufFile: metadata and dequantised weights of a GGUF file, the format in which small language models are packaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from vlm_qsft.errors import InvalidSetting


class GgufFile:
    """One file, read once: the metadata hold two lists with a string per token, which take seconds."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            InvalidSetting: it does not exist, or is no whole GGUF file.
        """
        from gguf import GGUFReader

        self.path = path
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise InvalidSetting(f"{path} is no whole GGUF file: {error}. Download or copy it again.") from error

    def value(self, name: str) -> Any:
        """Return one entry of the metadata: a number, a string or a list.

        Raises:
            InvalidSetting: the file does not have it.
        """
        field = self._reader.get_field(name)
        if field is None:
            raise InvalidSetting(f"{self.path} has no '{name}': it is not the kind of model that can be used here.")
        return field.contents()

    def __contains__(self, name: str) -> bool:
        """Return whether the metadata have an entry."""
        return self._reader.get_field(name) is not None

    def tensors(self) -> dict[str, Float32[np.ndarray, "..."]]:
        """Return every tensor, dequantised.

        Raises:
            InvalidSetting: a quantisation that the reader does not know.
        """
        from gguf import dequantize

        try:
            return {
                tensor.name: np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
                for tensor in self._reader.tensors
            }
        except NotImplementedError as error:
            raise InvalidSetting(f"{self.path} is quantised in a way that cannot be read: {error}") from error
