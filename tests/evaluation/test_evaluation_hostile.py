"""A board of twenty bundles of which fifteen mean no good: it is built from the other five."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_honest import COLUMNS, PER_GENERATOR, write_honest

from aigenbench.cli import main
from aigenbench.evaluation.leaderboard.bundle import MANIFEST
from aigenbench.evaluation.leaderboard.page import build_leaderboard
from aigenbench.evaluation.leaderboard.submission import make_submission
from aigenbench.evaluation.predictions.external import import_csv

Contents = dict[str, bytes]
CLEAR = "\x1b[2J\x1b[Haccepted"


def unpacked(path: Path) -> Contents:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, contents: Contents, method: int = zipfile.ZIP_DEFLATED, claims: str = "") -> None:
    """A bundle whose hashes are right; ``claims`` is an entry of its manifest, as JSON."""
    manifest = json.loads(contents[MANIFEST])
    manifest.pop(claims.partition(":")[0].strip(', "'), None)
    manifest["files"] = {n: hashlib.sha256(d).hexdigest() for n, d in contents.items() if n != MANIFEST}
    text = json.dumps(manifest)[:-1] + claims + "}"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in {**contents, MANIFEST: text.encode()}.items():
            archive.writestr(name, data)


def config(text: str) -> Callable[[Path, Contents], None]:
    return lambda path, contents: pack(path, {**contents, "config.yaml": text.encode()})


def claiming(claims: str) -> Callable[[Path, Contents], None]:
    return lambda path, contents: pack(path, contents, claims=f", {claims}")


def lying_size(path: Path, contents: Contents) -> None:
    pack(path, {**contents, "predictions/window_0.npz": bytes(10**6)})
    data = bytearray(path.read_bytes())
    # the size of the first window, in its own header and in the directory's, is said to be less
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        name = data.index(b"predictions/window_0.npz", data.index(signature))
        data[name - (30 if place == 22 else 46) + place :][:4] = b""
        struct.pack_into("<I", data, name - (30 if place == 22 else 46) + place, 1000)
    path.write_bytes(data)


def no_utf8_name(path: Path, contents: Contents) -> None:
    pack(path, {**contents, "aé.npz": b""})
    path.write_bytes(path.read_bytes().replace("aé.npz".encode(), b"a\xff\xfe.npz"))


def other_images(path: Path, contents: Contents) -> None:
    folder = path.parent / "work" / "other"
    folder.mkdir()
    generators = ["", *COLUMNS]
    rng = np.random.default_rng(0)
    rows = [f"{i},{k},{rng.random():.6f}" for k in range(9) for i in range(len(generators))]
    (folder / "scores.csv").write_text("\n".join(["image_id,window,score", *rows]))
    import_csv(folder / "scores.csv", generators, folder / "made")
    make_submission(folder / "made", path)


HOSTILE: dict[str, tuple[Callable[[Path, Contents], object], str]] = {
    "aliases": (
        config("a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))),
        "more than 200000 values",
    ),
    "circle": (config("a: &a {augmentation_factor: 4, b: *a}\n"), "a value that holds itself"),
    "date": (config("a: !!timestamp 2001-99-99\n"), "the tag 'tag:yaml.org,2002:timestamp' is not read"),
    "deep": (config("[" * 100_000), "more than 64 levels of nesting"),
    "digits": (config(f"augmentation_factor: {'9' * 5000}\n"), "an integer of too many digits"),
    "surrogate": (claiming('"code_revision": "\\ud800"'), "surrogates not allowed"),
    "nan": (claiming('"x": NaN'), "NaN is not a number of JSON"),
    "number": (claiming(f'"schema": {"9" * 5000}'), "does not fit 64 bits"),
    "bzip2": (lambda path, contents: pack(path, contents, zipfile.ZIP_BZIP2), "is packed by method 12"),
    "lzma": (lambda path, contents: pack(path, contents, zipfile.ZIP_LZMA), "is packed by method 14"),
    "lies": (lying_size, "is not a readable zip file"),
    "name": (no_utf8_name, "is not a readable zip file"),
    "pipe": (lambda path, contents: os.mkfifo(path), "no regular file"),
    "escapes": (claiming(f'"stage": {json.dumps(CLEAR)}'), r"unknown stage '\x1b[2J\x1b[Haccepted'"),
    "others": (other_images, "evaluated on other images than 5 others are"),
}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    for i in range(5):
        made = write_honest(folder / "work" / f"good{i}", 1 + i / 2, i)
        make_submission(made, folder / f"good{i}.zip", {"name": f"{CLEAR}{i}"})
    for name, (write, _) in HOSTILE.items():
        write(folder / f"{name}.zip", unpacked(folder / "good0.zip"))
    return folder


def test_the_board_stands_on_the_other_five(board: Path, tmp_path: Path) -> None:
    entries, rejected = build_leaderboard(board, tmp_path / "site", PER_GENERATOR, replicates=20)
    assert sorted(entry.file for entry in entries) == [f"good{i}.zip" for i in range(5)]
    assert rejected.keys() == {f"{name}.zip" for name in HOSTILE}
    for name, (_, reason) in HOSTILE.items():
        assert reason in rejected[f"{name}.zip"]
    page = (tmp_path / "site" / "index.html").read_text()
    assert "\x1b" not in page
    assert all(f"{name}.zip" in page for name in HOSTILE)


@pytest.mark.parametrize("name", [*HOSTILE, "good0"])
def test_no_bundle_writes_on_the_terminal(board: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    code = main(["submission", "verify", str(board / f"{name}.zip"), "--per-generator", str(PER_GENERATOR)])
    printed = capfd.readouterr()
    assert code == (0 if name in ("good0", "others") else 1)
    assert "\x1b" not in printed.out + printed.err
    assert printed.out.splitlines()[-1] == ("rejected" if code else "accepted")


def test_a_folder_of_files_whose_names_are_no_text(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "entries"
    folder.mkdir()
    (folder / "good.zip").write_bytes((board / "good0.zip").read_bytes())
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.zip")).write_bytes((board / "good1.zip").read_bytes())
    Path(os.fsdecode(os.fsencode(folder) + b"/no\xe9.zip")).write_bytes(b"x")
    entries, rejected = build_leaderboard(folder, tmp_path / "site", PER_GENERATOR, replicates=20)
    assert {entry.file for entry in entries} == {"good.zip", r"caf\udce9.zip"}
    assert list(rejected) == [r"no\udce9.zip"]
