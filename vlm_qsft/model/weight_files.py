"""What safetensors and torch say when a file of weights cannot be written, in the words of the operating system."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from vlm_qsft.data.storage import storage_errors


@contextmanager
def weight_storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission inside the block into a StorageError, as `storage_errors` does.

    Raises:
        StorageError: nothing could be written; the file system's reason and the remedy.
    """
    with storage_errors(path):
        try:
            yield
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        except RuntimeError as error:
            # torch.save does not say why a write was cut short; it is the disk.
            if "inline_container" not in str(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
