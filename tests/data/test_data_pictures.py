from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aigenbench.data.pictures.finding import find_pictures
from aigenbench.data.predict import open_predict_set
from aigenbench.errors import InputError

APPLEDOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X"


@pytest.fixture
def picture(made) -> bytes:
    return made.encoded(made.image(np.random.default_rng(0), False))


def place(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def names(*paths: Path | str) -> list[str]:
    chosen = open_predict_set(paths if len(paths) > 1 else paths[0])
    assert all(chosen.table.store.read(int(row)) is not None for row in chosen.rows)
    return [chosen.name(i) for i in range(len(chosen.rows))]


def test_content_decides(tmp_path: Path, picture: bytes, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        "a.png": picture,
        "no_suffix": picture,
        "b.txt": picture,
        "c.jpg": b"<html>",
        "d.jpeg": b"",
        "notes.md": b"x",
    }
    with caplog.at_level(logging.WARNING):
        # what is called a picture and is none is a broken one
        assert names(place(tmp_path, files)) == ["a.png", "b.txt", "c.jpg", "d.jpeg", "no_suffix"]
    assert caplog.messages == [f"{tmp_path}: 1 file is left out, no picture: notes.md"]


def test_all_formats_are_found(tmp_path: Path, picture: bytes) -> None:
    image = Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8))
    for name in ("a.jp2", "b.ppm", "c.bmp", "d.tif", "e.gif", "f.webp", "g.JPG"):
        image.save(tmp_path / name)
    (tmp_path / "h.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert [name[0] for name in names(tmp_path)] == list("abcdefgh")


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, picture: bytes) -> None:
    files = {"a.png": picture, "._a.png": APPLEDOUBLE, "._b.png": b"", ".DS_Store": b"Bud1", "sub/._real": picture}
    place(tmp_path, files)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = find_pictures(tmp_path)
    assert [path.name for path in found.pictures] == ["a.png", "._real"]
    assert found.told(tmp_path) == "5 files are left out, no pictures: .DS_Store, ._a.png, ._b.png and 2 more"


def test_folders_called_like_pictures(tmp_path: Path, picture: bytes) -> None:
    assert names(place(tmp_path, {"album.jpg/a.png": picture, "b.png": picture})) == ["album.jpg/a.png", "b.png"]


def test_linked_folders_are_searched_once(tmp_path: Path, picture: bytes) -> None:
    elsewhere = place(tmp_path / "elsewhere", {"x.png": picture, "deep/y.png": picture})
    folder = place(tmp_path / "mine", {"a.png": picture, "z/b.png": picture})
    (folder / "linked").symlink_to(elsewhere)
    (folder / "again").symlink_to(elsewhere / "deep")
    (folder / "own").symlink_to(folder / "z")
    (folder / "z" / "loop").symlink_to(folder)
    (elsewhere / "back").symlink_to(folder)
    (folder / "file.png").symlink_to(elsewhere / "x.png")
    assert names(folder) == ["a.png", "again/y.png", "file.png", "linked/x.png", "z/b.png"]
    (tmp_path / "to_mine").symlink_to(folder)
    assert len(names(tmp_path / "to_mine")) == 5


def test_odd_names(tmp_path: Path, picture: bytes) -> None:
    raw = [b"caf\xe9.png", "Zoë.png".encode(), b"two\nlines.png", b"back\\slash.png", b"~tilde.png", b" .png"]
    for name in raw:
        (tmp_path / os.fsdecode(name)).write_bytes(picture)
    expected = {"caf\\xe9.png", "Zoë.png", "two\\x0alines.png", "back\\\\slash.png", "~tilde.png", " .png"}
    assert set(names(tmp_path)) == expected
    assert names(tmp_path / os.fsdecode(raw[0])) == ["caf\\xe9.png"]


def test_one_picture_whatever_it_is_called(tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, {"a.dat": picture})
    assert names(tmp_path / "a.dat") == ["a.dat"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names("~/a.dat") == ["a.dat"]


def test_several_places(tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, {"one/a.png": picture, "two/a.png": picture, "b.png": picture, "three/c.png": picture})
    (tmp_path / "three" / "index.csv").write_text("path\nc.png\n")
    assert names(tmp_path / "one", tmp_path / "b.png", tmp_path / "one" / "a.png") == [
        f"{tmp_path}/one/a.png",
        f"{tmp_path}/b.png",
    ]
    monkeypatch.chdir(tmp_path)
    assert names("one", "two", "three", "b.png") == ["one/a.png", "two/a.png", "three/c.png", "b.png"]


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    chosen = open_predict_set(tmp_path / "pipe.png")
    with pytest.raises(OSError, match="no regular file"):
        chosen.table.store.read(0)


@pytest.mark.parametrize(
    ("index", "found"),
    [
        ("path\na.png\nsub/b.png\n", ["a.png", "sub/b.png"]),
        ("\ufeffnote;path\nx;sub/b.png\n", ["sub/b.png"]),
        ("path,label,generator,split\na.png,,,train\nsub/b.png,,,validation\n", ["sub/b.png"]),
        ("path,split\na.png,test\nsub/b.png,validation\n", ["a.png"]),
    ],
)
def test_an_index_needs_no_labels(tmp_path: Path, picture: bytes, index: str, found: list[str]) -> None:
    place(tmp_path, {"a.png": picture, "sub/b.png": picture, "index.csv": index.encode()})
    assert names(tmp_path) == found


def test_saved_sets_need_no_labels(made, tmp_path: Path, picture: bytes) -> None:
    rows = ([picture, picture + b"1"], ["", ""])
    made.write(tmp_path / "d", {"train": rows, "validation": rows}, leave_out=("label", "generator"))
    for folder in (tmp_path / "d", tmp_path / "d" / "train"):
        chosen = open_predict_set(folder)
        assert [bytes(chosen.table.store.read(int(row))) for row in chosen.rows] == rows[0]
        assert chosen.name(1) == "1"


def test_what_cannot_be_predicted_is_told(made, tmp_path: Path, picture: bytes) -> None:
    place(
        tmp_path,
        {"none/notes.txt": b"x", "bad/index.csv": b"file\na.png\n", "train/index.csv": b"path,split\na,train\n"},
    )
    (tmp_path / "empty").mkdir()
    made.write(tmp_path / "d", {"train": ([picture], [""])})
    for given, said in (
        (tmp_path / "nothing", "nothing at"),
        (tmp_path / "none", "no image in .*none: 1 file is left out, no picture: notes.txt; read are JPEG, PNG"),
        (tmp_path / "empty", "no image in .*empty: it is empty"),
        (tmp_path / "bad", "no column 'path'; found file"),
        (tmp_path / "train", "no split 'test' or 'validation'; found train"),
        (tmp_path / "d", "no split 'test' or 'validation'; found train"),
        ([tmp_path / "d", tmp_path / "none"], "is a data set; predict it by itself"),
        ([], "no path given"),
    ):
        with pytest.raises(InputError, match=said):
            open_predict_set(given)
