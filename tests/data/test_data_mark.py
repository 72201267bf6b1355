from __future__ import annotations

import json
from pathlib import Path

from aigenbench.data.demo import make_demo_data
from aigenbench.data.sources.mark import is_synthetic


def test_demo_data_say_that_they_are_made_up(tmp_path: Path) -> None:
    make_demo_data(tmp_path / "demo", 1, 1, 1, processes=1)
    assert is_synthetic(tmp_path / "demo")
    info = tmp_path / "demo/train/dataset_info.json"
    assert "demo data" in json.loads(info.read_text())["description"]


def test_other_data_do_not(small_dataset: Path, tmp_path: Path) -> None:
    assert not is_synthetic(small_dataset)
    assert not is_synthetic(tmp_path / "none")
    (tmp_path / "split").mkdir()
    for text in ("{", "[]", '{"description": "photographs"}', "{}"):
        (tmp_path / "split/dataset_info.json").write_text(text)
        assert not is_synthetic(tmp_path)
