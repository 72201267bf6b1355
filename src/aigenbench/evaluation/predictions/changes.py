"""Changes of the configuration after a run had begun: its record tells of them, and so do its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aigenbench.config.folder import CHANGES_FILE
from aigenbench.errors import InputError
from aigenbench.files import read_json


def config_changes(folder: Path | str) -> tuple[str, ...]:
    """What was changed with ``--allow_config_change``, one line a time it was; empty where nothing was.

    Raises:
        InputError: the record is damaged.
    """
    path = Path(folder) / CHANGES_FILE
    if not path.is_file():
        return ()
    try:
        return tuple(_line(entry) for entry in read_json(path, list))
    except (InputError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged: expected a list of date, changes and window; it tells with which configurations the "
            "windows were trained, so put it back from a copy or train again"
        ) from error


def _line(entry: dict[str, Any]) -> str:
    window = entry.get("window")
    when = "" if window is None else f", at window {window}"
    changes = "; ".join(str(change) for change in entry["changes"])
    return f"went on with another configuration ({str(entry['date'])[:10]}{when}): {changes}"
