"""Writes scripted episodes: `record_scripted.py ROOT EPISODES WORKERS`. Tests start it to kill it."""

from __future__ import annotations

import sys
from pathlib import Path

from scripted import LABELS, SCHEMA, scripted_episode

from vlm_qsft.data import write_episodes
from vlm_qsft.errors import QsftError


def main() -> int:
    """Print one line per complete episode, so that the parent knows where it is."""
    root, episodes, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

    def progress(complete: int, total: int) -> None:
        print(complete, total, flush=True)

    try:
        write_episodes(
            root, SCHEMA, list(range(episodes)), scripted_episode, labels=LABELS, workers=workers, progress=progress
        )
    except QsftError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
