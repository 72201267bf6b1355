"""What a data set says of itself: that its pictures are made up for trying the software."""

from __future__ import annotations

import json
from pathlib import Path

INFO_FILE = "dataset_info.json"
SYNTHETIC_MARK = "aigenbench demo data: rendered pictures and stand-ins for generators, made for trying the software"
"""The description of every split of the demo data; ``datasets`` keeps it when it saves them again."""


def is_synthetic(folder: Path | str) -> bool:
    """Whether a saved data set is demo data."""
    for path in sorted(Path(folder).glob(f"*/{INFO_FILE}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError, UnicodeDecodeError):
            # nothing else is read of this file, so a damaged one is no reason to stop
            continue
        if isinstance(content, dict) and content.get("description") == SYNTHETIC_MARK:
            return True
    return False
