"""Parquet shards read where they are: the same images as any other form gives, and damage told in a line."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aigenbench.data.demo import make_demo_data
from aigenbench.data.identity import keys_of
from aigenbench.data.plan import make_plan
from aigenbench.data.predict import open_predict_set
from aigenbench.data.sources.opening import open_source
from aigenbench.data.sources.parquet_images import ParquetImages, open_shard
from aigenbench.data.sources.shards import tell_cost
from aigenbench.data.store.identity import table_identity
from aigenbench.errors import InputError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo data, with file ids."""
    folder = tmp_path_factory.mktemp("saved") / "data"
    make_demo_data(folder, generators=6, train=4, validation=2)
    return folder


OPTIONS = {
    "as datasets 3 writes": {"row_group_size": 10},
    "as datasets 5 writes": {"use_dictionary": False, "compression": {"image.bytes": "none"}, "data_page_size": 20_000},
    "version 2 pages": {"data_page_version": "2.0", "row_group_size": 7, "compression": "zstd"},
    "small pages": {"write_batch_size": 2, "data_page_size": 100, "dictionary_pagesize_limit": 5000},
    "gzip": {"compression": "gzip", "use_dictionary": ["label"]},
    "brotli": {"compression": "brotli"},
    "lz4": {"compression": "lz4"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_shards_are_the_data_set_that_they_were_made_of(made, saved: Path, tmp_path: Path, name: str) -> None:
    shards = open_source(made.shards(saved, tmp_path / "hub" / "data", **OPTIONS[name]).parent)
    there = open_source(saved)
    for split in ("train", "validation"):
        ours, theirs = shards.table(split), there.table(split)
        assert ours.labels.tolist() == theirs.labels.tolist()
        assert ours.counts == theirs.counts
        assert set(ours.columns) == set(theirs.columns)
        for column in theirs.columns:
            assert ours.columns[column].tolist() == theirs.columns[column].tolist()
        rows = np.arange(len(ours))
        assert keys_of(ours, rows).tolist() == keys_of(theirs, rows).tolist()
        again = pickle.loads(pickle.dumps(ours.store))
        for row in random.Random(1).sample(range(len(ours)), len(ours)):
            assert again.read(row) == ours.store.read(row) == bytes(theirs.store.read(row))
            assert ours.store.name(row) == theirs.store.name(row)
    assert make_plan(shards).fingerprint({}, 1) == make_plan(there).fingerprint({}, 1)


def test_any_layout_of_the_hub_opens(made, saved: Path, tmp_path: Path) -> None:
    flat = made.shards(saved, tmp_path / "flat")
    by_split = tmp_path / "by_split"
    for file in sorted(flat.iterdir()):
        split, _, number = file.stem.partition("-")
        (by_split / split).mkdir(parents=True, exist_ok=True)
        (by_split / split / f"{number[:5]}.parquet").write_bytes(file.read_bytes())
    assert len(open_source(by_split).table("train")) == len(open_source(flat).table("train"))
    alone = open_source(flat / "validation-00000-of-00002.parquet")
    assert list(alone.splits) == ["validation"]
    # the labels mean nothing, and need not be there
    file = tmp_path / "pictures.parquet"
    pq.write_table(pq.read_table(flat / "validation-00001-of-00002.parquet", columns=["image"]), file)
    assert len(open_predict_set(file).rows) == pq.read_metadata(file).num_rows
    assert open_predict_set(flat).table.split == "validation"
    with pytest.raises(InputError, match="is a data set; predict it by itself"):
        open_predict_set([flat, file])


def test_incomplete_and_ambiguous_shards_are_told(made, saved: Path, tmp_path: Path) -> None:
    folder = made.shards(saved, tmp_path / "d", shards=3)
    (folder / "train-00001-of-00003.parquet").rename(tmp_path / "aside.parquet")
    with pytest.raises(InputError, match=r"1 of 3 shards are missing \(train-00001-of-00003\.parquet\)"):
        open_source(folder)
    (tmp_path / "aside.parquet").rename(folder / "train-00001-of-00003.parquet")
    (folder / "data").mkdir()
    extra = folder / "data" / "train-00000-of-00003.parquet"
    extra.write_bytes((folder / "train-00000-of-00003.parquet").read_bytes())
    with pytest.raises(InputError, match="the split 'train' has shards in"):
        open_source(folder)
    extra.rename(folder / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match="shards of several data sets"):
        open_source(folder)
    (folder / "train-00000-of-00001.parquet").rename(folder / "val.parquet")
    with pytest.raises(InputError, match=r"which split is val\.parquet of\?"):
        open_source(folder)


def test_links_that_lead_out_are_refused(made, saved: Path, tmp_path: Path) -> None:
    there = made.shards(saved, tmp_path / "there")
    folder = tmp_path / "d"
    folder.mkdir()
    for file in there.iterdir():
        (folder / file.name).symlink_to(file)
    with pytest.raises(InputError, match="4 of 4 paths lead outside"):
        open_source(folder)
    assert len(open_source(folder, follow_links=True).splits) == 2


def one_shard(folder: Path, rows: int = 30, **columns: object) -> Path:
    given = {
        "image": pa.array([{"bytes": os.urandom(400), "path": None} for _ in range(rows)], IMAGE),
        "label": pa.array([0] * rows),
        "generator": pa.array([""] * rows),
        **columns,
    }
    folder.mkdir(exist_ok=True)
    file = folder / "train.parquet"
    pq.write_table(pa.table(given), file, use_dictionary=False, compression="none", write_batch_size=5)
    return file


def test_values_of_any_type_are_read(tmp_path: Path) -> None:
    names = pa.array(["ADM", "", None, "DDPM"] * 5)
    labels = pa.array([1.0, 0.0, 0.0, 1.0] * 5)
    ids = [f"id {i}" for i in range(20)]
    for generators in (names, names.dictionary_encode(), names.cast(pa.large_string())):
        texts = pa.array(ids).dictionary_encode()
        file = one_shard(tmp_path / "d", 20, generator=generators, label=labels, file_id=texts)
        table = open_source(file.parent).table("train")
        assert table.counts == {"ADM": 5, "": 10, "DDPM": 5}
        assert table.columns["file_id"].tolist() == ids


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": pa.array([0, None] * 15)}, r"label is missing in 15 of 30 rows \(row 1, 3, 5, \.\.\.\)"),
        ({"label": pa.array(["a cat"] * 30)}, "column 'label' holds 'a cat'"),
        ({"label": pa.array([[0]] * 30)}, "column 'label'"),
        ({"generator": pa.array([3] * 30)}, "whose names stand nowhere"),
        ({"image": pa.array([1] * 30)}, "column 'image' holds no encoded images"),
        ({"image": pa.array([[b"1"]] * 30)}, "column 'image' holds no encoded images"),
    ],
)
def test_columns_of_another_type_are_told(tmp_path: Path, columns: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_source(one_shard(tmp_path / "d", **columns).parent)


def test_a_missing_column_is_told(tmp_path: Path) -> None:
    file = one_shard(tmp_path / "d")
    pq.write_table(pq.read_table(file).drop_columns(["label"]), file)
    with pytest.raises(InputError, match="the column label is missing; found image, generator"):
        open_source(file.parent)


def test_encodings_that_hide_the_single_image_are_told(tmp_path: Path) -> None:
    file = one_shard(tmp_path / "d")
    encoded = {"image.bytes": "DELTA_LENGTH_BYTE_ARRAY"}
    pq.write_table(pq.read_table(file), file, use_dictionary=False, column_encoding=encoded)
    with pytest.raises(InputError, match=r"as DELTA_LENGTH_BYTE_ARRAY, of which none can be read alone; .*data import"):
        open_source(file.parent)


def test_images_elsewhere_are_no_images_of_shards(tmp_path: Path) -> None:
    image = pa.array([{"bytes": b"x", "path": "a.png"}, {"bytes": None, "path": "/etc/passwd"}, None] * 10, IMAGE)
    store = open_source(one_shard(tmp_path / "d", image=image).parent).table("train").store
    assert store.read(27) == b"x"
    for row in (28, 29):
        with pytest.raises(OSError, match="no bytes are stored"):
            store.read(row)
    assert [store.name(row) for row in range(3)] == ["a.png", "/etc/passwd", ""]


@pytest.mark.parametrize("cut", [1, 8, 100, 5000])
def test_a_cut_file_is_told(tmp_path: Path, cut: int) -> None:
    file = one_shard(tmp_path / "d")
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"train\.parquet is damaged \("):
        open_source(file.parent)


def _zeroed(data: bytearray) -> None:
    data[4:40] = bytes(36)


def _long_value(data: bytearray) -> None:
    # the length in front of the first image
    data[data.index(b"\x90\x01\x00\x00") + 2] = 255


@pytest.mark.parametrize("damage", [_zeroed, _long_value])
def test_damaged_pages_are_told_by_who_reads_the_image(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    file = one_shard(tmp_path / "d")
    data = bytearray(file.read_bytes())
    damage(data)
    file.write_bytes(data)
    store = open_source(file.parent).table("train").store
    with pytest.raises(OSError, match=r"train\.parquet is damaged \("):
        store.read(0)


def test_a_file_that_claims_more_rows_than_bytes_is_told(tmp_path: Path) -> None:
    sink = io.BytesIO()
    n = 300_000
    nothing = pa.array([None] * n, IMAGE)
    pq.write_table(pa.table({"image": nothing, "label": pa.array([0] * n), "generator": pa.array([""] * n)}), sink)
    (tmp_path / "train.parquet").write_bytes(sink.getvalue())
    with pytest.raises(InputError, match="says that it has 300000 rows, more than bytes"):
        open_source(tmp_path)


def test_shards_that_change_meanwhile_are_told(tmp_path: Path) -> None:
    file = one_shard(tmp_path / "d", file_id=pa.array(["x"] * 30))
    table = open_source(file.parent).table("train")
    one_shard(tmp_path / "d", 31)
    with pytest.raises(OSError, match=r"train\.parquet was changed since the data set was opened"):
        table.store.read(0)
    with pytest.raises(InputError, match="was changed since the data set was opened"):
        table.columns["file_id"]


def test_what_is_stored_of_shards_is_of_these_shards(made, saved: Path, tmp_path: Path) -> None:
    one, two = (open_source(made.shards(saved, tmp_path / name, shards)) for name, shards in (("a", 1), ("b", 3)))
    # how they are cut does not matter
    identity = table_identity(one.table("train"))
    assert identity == table_identity(two.table("train"))
    file = tmp_path / "a" / "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    ids = pa.array(["another", *table["file_id"].to_pylist()[1:]])
    pq.write_table(table.set_column(table.column_names.index("file_id"), "file_id", ids), file)
    assert table_identity(open_source(tmp_path / "a").table("train")) != identity


def test_slow_shards_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = pa.array([{"bytes": os.urandom(300_000), "path": None} for _ in range(30)], IMAGE)
    file = one_shard(tmp_path / "d", image=image)
    with caplog.at_level("WARNING", "aigenbench"):
        tell_cost(open_source(file.parent).table("train"), file.parent)
        assert not caplog.text
        pq.write_table(pq.read_table(file), file)
        slow = open_source(file.parent).table("train")
        for _ in range(2):
            tell_cost(slow, file.parent)
    assert caplog.text.count("in pages of 9 MB") == 1
    assert "aigenbench data import" in caplog.text


def test_few_values_are_kept(tmp_path: Path) -> None:
    image = pa.array([{"bytes": os.urandom(20_000), "path": None} for _ in range(300)], IMAGE)
    file = one_shard(tmp_path / "d", 300, image=image, label=pa.array([0] * 300), generator=pa.array([""] * 300))
    store = ParquetImages([open_shard(file)])
    assert 20_000 < store.page_bytes() < 2_000_000
    for row in random.Random(1).sample(range(300), 50):
        store.read(row)
    held = store._images._last
    assert held is not None
    assert len(held[1][0].data) < 2_000_000
