"""`--outcome csv FILE` in words that argparse understands: the only flag whose value may be one word or two."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_qsft.errors import InvalidSetting

FLAG = "--outcome"
SEPARATOR = ":"


def joined_outcomes(words: Sequence[str]) -> list[str]:
    """Return a command line in which `--outcome csv FILE` is `--outcome csv:FILE`.

    Raises:
        InvalidSetting: no file follows.
    """
    joined: list[str] = []
    place = 0
    while place < len(words):
        is_csv = words[place : place + 2] == [FLAG, "csv"] or words[place] == f"{FLAG}=csv"
        if not is_csv:
            joined.append(words[place])
            place += 1
            continue
        place += 2 if words[place] == FLAG else 1
        if place >= len(words) or words[place].startswith("-"):
            raise InvalidSetting(f"`{FLAG} csv` needs a file: {FLAG} csv FILE.")
        joined += [FLAG, f"csv{SEPARATOR}{words[place]}"]
        place += 1
    return joined
