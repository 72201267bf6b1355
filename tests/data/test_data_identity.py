"""The keys of a data set's images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aigenbench.data.demo import make_demo_data
from aigenbench.data.identity import keys_of
from aigenbench.data.sources.folders import open_indexed_folder
from aigenbench.data.sources.opening import NoImages, open_source
from aigenbench.data.sources.tables import Columns, make_table
from aigenbench.protocol.identity import image_keys


def test_saved_data_sets_are_known_by_file_id(tmp_path: Path) -> None:
    make_demo_data(tmp_path / "data", generators=2, train=1, validation=1)
    table = open_source(tmp_path / "data").table("validation")
    rows = np.array([3, 0], dtype=np.int64)
    names = table.columns["file_id"]
    assert names[0].startswith("demo/")
    assert keys_of(table, rows).tolist() == image_keys([names[3], names[0]]).tolist()


def test_folders_are_known_by_the_paths_of_their_index_or_its_ids(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    header, lines = "path,label,generator,split", ["a.png,real,,validation", "b.png,fake,ADM,validation"]
    (tmp_path / "index.csv").write_text("\n".join([header, *lines]) + "\n")
    table = open_indexed_folder(tmp_path)["validation"]
    assert keys_of(table, np.arange(2)).tolist() == image_keys(["a.png", "b.png"]).tolist()
    named = [f"{header},file_id", f"{lines[0]},COCO2017_val/139", f"{lines[1]},"]
    (tmp_path / "index.csv").write_text("\n".join(named) + "\n")
    table = open_indexed_folder(tmp_path)["validation"]
    assert keys_of(table, np.arange(2)).tolist() == image_keys(["COCO2017_val/139", "b.png"]).tolist()


def test_rows_without_a_name_are_known_by_number_and_length() -> None:
    class Sized(NoImages):
        def sizes(self) -> np.ndarray:
            return np.array([5, 7])

    table = make_table(Path(), "validation", np.array([0, 0]), np.array([0, 0]), ("",), Sized(), Columns({}))
    assert keys_of(table, np.arange(2)).tolist() == image_keys(["0 5", "1 7"]).tolist()
