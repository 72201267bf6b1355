from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aigenbench import archives
from aigenbench.archives import open_zip, read_npz
from aigenbench.errors import InputError, MissingFileError

KINDS = ("<i8", "<i4", "|u1", "|b1", "<f4", "<f8", ">f4", ">i8", "<U5", ">U2")


def told(path: Path, names: tuple[str, ...] = ("a",)) -> str:
    with pytest.raises(InputError) as error:
        read_npz(path, names)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    return str(error.value)


def write(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def npy(header: str, data: bytes = bytes(8), version: bytes = b"\x01\x00") -> bytes:
    width = "<H" if version == b"\x01\x00" else "<I"
    return b"\x93NUMPY" + version + struct.pack(width, len(header)) + header.encode("latin-1") + data


@settings(max_examples=60)
@given(st.data())
def test_arrays_are_read_as_numpy_reads_them(data: st.DataObject) -> None:
    kind = np.dtype(data.draw(st.sampled_from(KINDS)))
    letters = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=2)
    array = data.draw(
        arrays(
            kind, data.draw(st.sampled_from([(), (0,), (3,), (2, 3)])), elements=letters if kind.kind == "U" else None
        )
    )
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    target = io.BytesIO()
    np.savez(target, a=array)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(target.getvalue())
        found = read_npz(path, ("a", "b"))
    assert found.keys() == {"a"}
    assert (found["a"].dtype, found["a"].shape, found["a"].tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found["a"].flags.writeable


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"), "which 8 bytes are not"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", b""), "which 0 bytes are not"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"), "not an array of numbers or text"),
        (npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }\n"), "not an array of numbers"),
        (npy("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }\n", b""), "not an array of"),
        (npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }\n"), "not an array of numbers"),
        (npy("(" * 9000), "not an array of numbers or text"),
        (
            npy("{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }\n", b"\0\0\x11\0" * 2),
            "letters that are none",
        ),
        (
            npy("{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }\n", b"\0\xd8\0\0" * 2),
            "letters that are none",
        ),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", version=b"\x09\x00"), "of format 1 or 2"),
        (b"text", "not a NumPy array"),
        (b"", "not a NumPy array"),
    ],
)
def test_members_that_are_no_arrays(tmp_path: Path, member: bytes, said: str) -> None:
    assert said in told(write(tmp_path / "a.npz", {"a.npy": member}))
    # what is not asked for is not looked at
    assert read_npz(tmp_path / "a.npz", ("b",)) == {}


def test_what_a_bomb_states_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.npz", {"a.npy": bytes(5_000_000)})
    monkeypatch.setattr(archives, "ALWAYS_READ", 1_000_000)
    assert "would unpack to 5000000 bytes; at most" in told(path)
    # as much is read where the file is large itself
    path = write(tmp_path / "b.npz", {"a.npy": bytes(1_500_000), "b": os.urandom(50_000)})
    assert "not a NumPy array" in told(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_give_more_than_they_state(tmp_path: Path, method: int) -> None:
    assert f"is packed by method {method}" in told(write(tmp_path / "a.npz", {"a.npy": b"x"}, method))


@pytest.mark.parametrize("name", ["../a.npy", "/a.npy", "c:a.npy", "b/../../a.npy", "b/"])
def test_names_that_are_not_plain(tmp_path: Path, name: str) -> None:
    assert repr(name) in told(write(tmp_path / "a.npz", {name: b""}))


def test_a_member_without_a_name(tmp_path: Path) -> None:
    unnamed = zipfile.ZipInfo("a")
    unnamed.filename = ""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(unnamed, b"x")
    assert "a file in it has no name" in told(tmp_path / "a.npz")


def test_links_doubles_and_secrets(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    link = zipfile.ZipInfo("a.npy")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
    assert "'a.npy' is a link" in told(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", b"")
    assert "stands in it twice" in told(path)
    data = bytearray(write(path, {"a.npy": b""}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "is encrypted" in told(path)


def test_a_list_of_members_without_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", {f"{i}.npy": b"" for i in range(archives.MOST_MEMBERS + 1)})
    assert "1001 files stand in it" in told(path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, len(data) - 10, 2**31)
    path.write_bytes(data)
    assert "more than 1000 files" in told(path)
    path.write_bytes(data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:])
    assert "65,535 members" in told(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut", b"PK\x05\x06" + b"\xff" * 18])
def test_files_that_are_no_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert "not a readable zip file" in told(tmp_path / "a.npz") or "files stand in it" in told(tmp_path / "a.npz")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    assert "no regular file" in told(tmp_path / "pipe.npz")
    with pytest.raises(MissingFileError), open_zip(tmp_path / "none.npz"):
        pass


def test_damage_in_a_member_is_told(tmp_path: Path) -> None:
    member: Any = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", b"damaged!")
    path = write(tmp_path / "a.npz", {"a.npy": member}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"damaged!", b"damaged?"))
    assert "Bad CRC-32" in told(path)
