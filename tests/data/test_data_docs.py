"""The page on formats: its examples run, and its tables name what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aigenbench.data.pictures.formats import FORMATS
from aigenbench.data.sources.arrow import OPTIONAL_COLUMNS
from aigenbench.data.sources.arrow import REQUIRED_COLUMNS as SAVED_COLUMNS
from aigenbench.data.sources.folders import REQUIRED_COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # one after the other, as somebody would who reads the page
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "formats.md", "exec"), names)
    assert len(BLOCKS) == 6


def first_cells(title: str) -> list[str]:
    part = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"(?m)^\| (.*?) \|", part)[1:]


def columns(title: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", " ".join(first_cells(title))))


def test_the_tables_name_what_is_read() -> None:
    assert first_cells("Pictures") == [one.name for one in FORMATS]
    assert columns("A folder with `index.csv`") == {*REQUIRED_COLUMNS, "origin_dataset", "file_id"}
    assert columns("A data set saved with `datasets`") == {*SAVED_COLUMNS, *OPTIONAL_COLUMNS}
