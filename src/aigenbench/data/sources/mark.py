"""What a data set says of itself: that its pictures are made up for trying the software."""

from __future__ import annotations

from pathlib import Path

from aigenbench.errors import InputError
from aigenbench.files import read_json

INFO_FILE = "dataset_info.json"
SYNTHETIC_MARK = "aigenbench demo data: rendered pictures and stand-ins for generators, made for trying the software"
"""The description of every split of the demo data; ``datasets`` keeps it when it saves them again."""


def is_synthetic(folder: Path | str) -> bool:
    """Whether a saved data set is demo data."""
    for path in sorted(Path(folder).glob(f"*/{INFO_FILE}")):
        try:
            content = read_json(path)
        except InputError:
            # nothing else is read of this file, so a damaged one is no reason to stop
            continue
        if content.get("description") == SYNTHETIC_MARK:
            return True
    return False
