from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aigenbench.data.sources import streams
from aigenbench.data.sources.opening import open_source
from aigenbench.data.sources.streams import open_stream
from aigenbench.errors import InputError

NAMES = ["first", "second", "third"]


def write(path: Path, columns: dict[str, pa.Array], compression: str | None = None) -> Path:
    table = pa.table(columns)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(str(path), table.schema, options=options) as stream:
        stream.write_table(table)
    return path


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


OFFSETS = struct.pack("<4i", 0, 5, 11, 16)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OFFSETS, struct.pack("<4i", 0, 5, 11, 2**31 - 1)),
        (OFFSETS, struct.pack("<4i", 0, -(2**30), 11, 16)),
        (OFFSETS, struct.pack("<4i", 0, 16, 11, 16)),
        (b"firstsecond", b"first\xffecond"),
    ],
    ids=["beyond the end", "negative", "falling", "no UTF-8"],
)
def test_a_column_that_would_lead_astray_is_told(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = replaced(write(tmp_path / "a.arrow", {"generator": pa.array(NAMES)}), old, new)
    for _ in range(2):
        with pytest.raises(InputError, match=r"a\.arrow is damaged"):
            open_stream(path)
    # nothing is read of it
    other = replaced(write(tmp_path / "b.arrow", {"description": pa.array(NAMES)}), old, new)
    assert len(open_stream(other).table) == 3


def test_a_dictionary_without_the_word_is_told(tmp_path: Path) -> None:
    codes = np.array([0, 1, 77], dtype=np.int32)
    words = pa.DictionaryArray.from_arrays(pa.array(np.minimum(codes, 2)), pa.array(NAMES))
    path = write(tmp_path / "a.arrow", {"generator": words})
    replaced(path, np.array([0, 1, 2], dtype=np.int32).tobytes(), codes.tobytes())
    with pytest.raises(InputError, match="is damaged"):
        open_stream(path)


def test_a_field_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    image = pa.array([{"bytes": b"x", "sundry": ""}])
    path = replaced(write(tmp_path / "a.arrow", {"image": image}), b"sundry", b"\xff\xff\xff\xff\xff\xff")
    with pytest.raises(InputError, match="is damaged"):
        open_stream(path)


def test_a_file_is_validated_once_for_as_long_as_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated = []
    monkeypatch.setattr(streams, "_validate", validated.append)
    path = write(tmp_path / "a.arrow", {"label": pa.array([0])})
    for _ in range(3):
        open_stream(path)
    assert len(validated) == 1
    os.utime(path, (1, 1))
    open_stream(path)
    assert len(validated) == 2


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_small_file_that_unpacks_to_far_more_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str, kind: pa.DataType
) -> None:
    path = write(tmp_path / "a.arrow", {"description": pa.array(["x" * 2**20], kind)}, compression)
    assert path.stat().st_size < 2**14
    assert len(open_stream(path).table) == 1
    os.utime(path, (1, 1))
    monkeypatch.setattr(streams, "UNPACKED_BYTES", 2**20)
    with pytest.raises(InputError, match="unpacks to more than 1,048,576 bytes"):
        open_stream(path)
    plain = write(tmp_path / "b.arrow", {"description": pa.array(["x" * 2**20], kind)})
    assert len(open_stream(plain).table) == 1


def test_a_pipe_is_not_waited_for(made, tmp_path: Path) -> None:
    folder = made.default(tmp_path / "d")
    file = folder / "train" / "data-00000-of-00001.arrow"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(InputError, match="is no regular file"):
        open_source(folder)


def test_a_column_of_no_use_is_told(made, tmp_path: Path) -> None:
    folder = made.default(tmp_path / "d")
    file = folder / "train" / "data-00000-of-00001.arrow"
    table = open_stream(file).table
    odd = pa.array([[1]] * len(table))
    with pa.ipc.new_stream(str(tmp_path / "new"), table.drop(["height"]).append_column("height", odd).schema) as stream:
        stream.write_table(table.drop(["height"]).append_column("height", odd))
    (tmp_path / "new").replace(file)
    train = open_source(folder).table("train")
    with pytest.raises(InputError, match=r"column 'height' holds list<.*>, expected numbers or text"):
        train.columns["height"]
