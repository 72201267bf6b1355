"""What a data set says of itself: that its pictures are made up, or that all were stored anew in one way."""

from __future__ import annotations

from pathlib import Path

from aigenbench.errors import InputError
from aigenbench.files import read_json

INFO_FILE = "dataset_info.json"
SYNTHETIC_MARK = "aigenbench demo data: rendered pictures and stand-ins for generators, made for trying the software"
MATCHED_MARK = "aigenbench matched copy: every picture cut, scaled down and stored anew as JPEG, both classes alike"
MARKS = {"synthetic": SYNTHETIC_MARK, "matched": MATCHED_MARK}
"""What is told by its name, and what then stands in the description of every split; ``datasets`` saves it too."""


def marks_of(folder: Path | str) -> tuple[str, ...]:
    """What a saved data set says of itself, by the names in `MARKS`."""
    said = set()
    for path in sorted(Path(folder).glob(f"*/{INFO_FILE}")):
        try:
            description = str(read_json(path).get("description"))
        except InputError:
            # nothing else is read of this file, so a damaged one is no reason to stop
            continue
        said |= {name for name, mark in MARKS.items() if mark in description}
    return tuple(name for name in MARKS if name in said)


def is_synthetic(folder: Path | str) -> bool:
    """Whether a saved data set is demo data."""
    return "synthetic" in marks_of(folder)
