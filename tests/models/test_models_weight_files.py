"""Files that are no weights, or not whole: one line says which of these they are."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aigenbench.errors import InputError
from aigenbench.models import ensure_weights
from aigenbench.models.weights.contents import metadata_of
from aigenbench.models.weights.kinds import Kind, kind_of
from aigenbench.models.weights.reading import read_weights

STATE = {"conv.weight": torch.arange(600.0), "conv.bias": torch.ones(2)}

BAD = {
    "empty": (b"", "is empty"),
    "text": (b"trainer: {}\n", "is a text file that begins 'trainer: {}'"),
    "text in UTF-16": ("weights\n".encode("utf-16"), "is a text file"),
    "LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234567\n",
        "is a Git LFS pointer to 1,234,567 bytes",
    ),
    "annex": (b"/annex/objects/SHA256E-s9--00.pt\n", "is a git-annex pointer"),
    "page": (b"\n<!DOCTYPE html><html><title>Sign in</title>", r"is a web page \(HTML\)"),
    "XML": (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "is a web page"),
    "index": (b'{"metadata": {}, "weight_map": {"a": "model-1.safetensors"}}', "several files"),
    "zeros": (bytes(5000), "holds zeros where it should begin"),
    "half a zip": (b"PK\x03\x04" + bytes(100), "is half a file"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "is compressed with gzip"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "is an HDF5 file"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "is a PNG picture"),
    "noise": (bytes(range(1, 250)), "it begins with the bytes 01 02 03"),
    "short": (b"\x88\x00\x00", "it begins with the bytes 88 00 00"),
}


@pytest.mark.parametrize("name", ["a.pt", "a.ckpt", "a.safetensors", "weights"])
@pytest.mark.parametrize("what", BAD)
def test_what_a_file_is_instead_is_told_in_one_line(what: str, name: str, tmp_path: Path) -> None:
    content, said = BAD[what]
    path = tmp_path / name
    path.write_bytes(content)
    if name == "a.safetensors" and what in ("noise", "short"):
        said = "is no whole safetensors file"
    for read in (kind_of, read_weights, lambda p: ensure_weights("RN50_probe", weights=p)):
        with pytest.raises(InputError, match=said) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [9, 60, 200, -1])
def test_half_of_a_safetensors_file_says_how_much_is_there(size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(STATE, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    with pytest.raises(InputError, match=rf"is half a file: {len(whole[:size]):,} bytes"):
        kind_of(path)
    path.write_bytes(whole + b"more")
    with pytest.raises(InputError, match="is damaged"):
        kind_of(path)


def test_zip_archives_that_hold_no_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/weights.pt", "x")
    with pytest.raises(InputError, match=r"zip archive that holds weights\.pt"):
        kind_of(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", "x")
    with pytest.raises(InputError, match="archive of NumPy arrays"):
        kind_of(tmp_path / "a.npz")


def test_folders_links_and_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "window_0").mkdir()
    torch.save(STATE, tmp_path / "window_0" / "final.ckpt")
    with pytest.raises(InputError, match=r"no file .*: that is a folder; it holds window_0/final\.ckpt"):
        kind_of(tmp_path)
    (tmp_path / "link.pt").symlink_to("gone.pt")
    with pytest.raises(InputError, match=r"no checkpoint .*link\.pt; it is a link to gone\.pt, which is not there"):
        kind_of(tmp_path / "link.pt", noun="checkpoint")
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(InputError, match="no ordinary file"):
        kind_of(tmp_path / "pipe.pt")
    with pytest.raises(InputError, match=r"ckpt_path: no file"):
        kind_of(tmp_path / "none.pt", "ckpt_path")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    torch.save(STATE, path)

    def refused(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(InputError, match=r"a\.pt cannot be read \(Permission denied\)"):
        kind_of(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_whole_files_are_told_apart(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "new.pt")
    torch.save(STATE, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "any.name", metadata={"model": "x"})
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    kinds = [kind_of(tmp_path / name) for name in ("new.pt", "old.pt", "any.name", "script.pt")]
    assert kinds == [Kind.ZIPPED, Kind.PICKLE, Kind.SAFETENSORS, Kind.TORCHSCRIPT]
    assert metadata_of(tmp_path / "any.name") == {"model": "x"}
    # the content says what it is, not the name
    assert list(read_weights(tmp_path / "any.name")) == sorted(STATE)


def safetensors_file(path: Path, header: object, body: bytes = bytes(8)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
NO_HEADER = "its header is no safetensors header"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"{" + b'"a":[' * 3000 + b"]" * 3000 + b"}", NO_HEADER),
        ({"__metadata__": 7, "a": ENTRY}, NO_HEADER),
        ({"a": 7}, NO_HEADER),
        ({"a": {**ENTRY, "shape": [-2]}}, NO_HEADER),
        ({"a": {**ENTRY, "shape": [True, 2]}}, NO_HEADER),
        ({"a": {**ENTRY, "data_offsets": [0, 4, 8]}}, NO_HEADER),
        ({"a": {**ENTRY, "shape": [2**70]}}, NO_HEADER),
        ({"a": {**ENTRY, "shape": [2**62, 4]}}, "the bytes of its tensor 'a' do not fit its shape"),
        ({"a": {**ENTRY, "dtype": "F64"}}, "the bytes of its tensor 'a' do not fit its shape"),
        ({"a": {**ENTRY, "dtype": "X"}}, "is no whole safetensors file"),
        (b'{"a": 1, "a": 2}', NO_HEADER),
        (b'{"a": "\xff"}', NO_HEADER),
    ],
)
def test_a_safetensors_header_that_lies_is_told(tmp_path: Path, header: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_weights(safetensors_file(tmp_path / "a.safetensors", header))
    assert list(read_weights(safetensors_file(tmp_path / "b.safetensors", {"a": ENTRY}))) == ["a"]


def torch_members(path: Path) -> list[tuple[str, bytes]]:
    torch.save(STATE, path)
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("method", "further", "said"),
    [
        (zipfile.ZIP_DEFLATED, [], "is compressed"),
        (zipfile.ZIP_BZIP2, [], "is compressed"),
        (zipfile.ZIP_LZMA, [], "is compressed"),
        (zipfile.ZIP_STORED, [("a/data.pkl", b"x"), ("a/data.pkl", b"y")], "stands twice"),
    ],
)
def test_an_archive_that_torch_would_not_write_is_told(
    tmp_path: Path, method: int, further: list[tuple[str, bytes]], said: str
) -> None:
    path = tmp_path / "a.pt"
    members = torch_members(path)
    for name, content in (("a.pt", members), ("odd.pt", members + further)):
        with zipfile.ZipFile(tmp_path / name, "w", method if name == "odd.pt" else zipfile.ZIP_STORED) as archive:
            for member in content:
                archive.writestr(*member)
    assert list(read_weights(path)) == list(STATE)
    with pytest.raises(InputError, match=said):
        read_weights(tmp_path / "odd.pt")


@pytest.mark.parametrize(("at", "value"), [(6, 255), (10, 99), (46, 255)], ids=["version", "method", "name"])
def test_a_damaged_directory_of_an_archive_is_told(tmp_path: Path, at: int, value: int) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in torch_members(tmp_path / "whole.pt"):
            archive.writestr(name.replace("whole", "whol\u00e9"), content)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + at] = value
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_weights(path)


@pytest.mark.parametrize(
    "damaged",
    [
        b"\x80\x02(((.",
        b"\x80\x02X\xff\xff\xff\x7fabc",
        b"\x80\x02K\x01h\x07.",
        b"\x80\x02X\x02\x00\x00\x00\xff\xff.",
        b"\x80\x02M",
        b"\x80\x02Q.",
        b"\x80\x02.",
        pickle.dumps(print, protocol=2),
    ],
)
def test_an_odd_pickle_is_one_line(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "old.pt").write_bytes(damaged)
    members = torch_members(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name, content in members:
            archive.writestr(name, damaged if name.endswith("data.pkl") else content)
    for name in ("old.pt", "a.pt"):
        with pytest.raises(InputError, match=r"is damaged|would run code") as caught:
            read_weights(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_file_of_torch_is_read_by_its_content(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.safetensors")
    assert list(read_weights(tmp_path / "a.safetensors")) == list(STATE)


@pytest.mark.parametrize("entry", [{("a", 1): torch.zeros(2)}, {7: torch.zeros(2)}, {"a": 7}])
def test_entries_that_are_no_tensors_with_names_are_told(tmp_path: Path, entry: dict[object, object]) -> None:
    torch.save(entry, tmp_path / "a.pt")
    with pytest.raises(InputError, match="is no tensor with a name"):
        read_weights(tmp_path / "a.pt")
