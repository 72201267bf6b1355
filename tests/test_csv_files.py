from __future__ import annotations

import os
from pathlib import Path

import pytest

from aigenbench.csv_files import read_csv
from aigenbench.errors import InputError

ROWS = ((2, {"path": "ä.png", "label": "real"}), (3, {"path": "a b.png", "label": "fake"}))


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "a.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_whatever_program_wrote_it(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    lines = ["path,label", "ä.png,real", '"a b.png",fake', ",", "", "  "]
    path = write(tmp_path, end.join(lines).replace(",", delimiter), encoding)
    table = read_csv(path, ("path", "label"))
    assert (table.columns, table.rows) == (("path", "label"), ROWS)


def test_big_endian_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xfe\xff" + "path\nä.png\n".encode("utf-16-be"))
    assert read_csv(path, ("path",)).rows == ((2, {"path": "ä.png"}),)


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    path = write(tmp_path, " path , note\na\nb,c,,\n")
    assert [row["note"] for _, row in read_csv(path, ("path",)).rows] == ["", "c"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"path,label\na,real\ncaf\xe9,real\n", "line 3: not UTF-8 text (byte 0xe9); save it as UTF-8"),
        (b"Path,Label\n", "no column 'path', 'label'; found Path, Label; did you mean 'Path'?"),
        (b"", "no column 'path', 'label'; found none"),
        (b"path,label,path\n", "two columns are called 'path'"),
        (b"path,label\na,b,c\n", "line 2: 3 values for 2 columns"),
        (b"path,label\na\n", "line 2: 1 values for 2 columns"),
        ("path,label\n".encode("utf-16-le"), "NUL"),
        (b"path,label\n" + b"a" * 200_000 + b",real\n", "line 2: not CSV: field larger"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(InputError) as told:
        read_csv(path, ("path", "label"))
    assert said in str(told.value)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_only_files_are_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_csv(tmp_path / "none.csv", ())
    os.mkfifo(tmp_path / "pipe.csv")
    for place in (tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(InputError, match="no regular file"):
            read_csv(place, ())
