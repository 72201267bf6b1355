"""What a file of weights is, told from its first bytes before anything opens it. Importing it imports no PyTorch."""

from __future__ import annotations

import re
import stat
import zipfile
from enum import Enum
from pathlib import Path

from aigenbench.errors import InputError
from aigenbench.models.weights.contents import archive_members, safetensors_problem, torch_archive_problem

_HEAD = 4096
_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
_LFS = b"version https://git-lfs.github.com/spec/"
_OTHER_FORMATS = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"\xfd7zXZ\x00": "is compressed with xz; unpack it first",
    b"BZh": "is compressed with bzip2; unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive; unpack it first",
    b"Rar!": "is a RAR archive; unpack it first",
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file, as Keras writes; save it as a state dict or safetensors",
    b"GGUF": "is a GGUF file; save it as a state dict or safetensors",
    b"\x93NUMPY": "is a NumPy array; save it as a state dict or safetensors",
    b"\x89PNG": "is a PNG picture",
    b"\xff\xd8\xff": "is a JPEG picture",
    b"%PDF": "is a PDF document",
}


class Kind(Enum):
    """The formats that weights come in."""

    SAFETENSORS = "safetensors"
    TORCHSCRIPT = "a TorchScript archive"
    ZIPPED = "a file of torch.save"
    PICKLE = "a file of torch.save, in its old format"


def kind_of(path: Path, key: str = "", noun: str = "file") -> Kind:
    """Which format of weights a file has; only its beginning and its index are read.

    Args:
        path: the file.
        key: the argument that names it, for the message.
        noun: what it should be, for the message.

    Raises:
        InputError: it is none of them, or not whole; the line says what it is instead.
    """
    label = f"{key}: " if key else ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{label}no {noun} {path}: that is {_no_file(path)}")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
        found = _kind(path, head, size)
    except FileNotFoundError as error:
        link = f"; it is a link to {path.readlink()}, which is not there" if path.is_symlink() else ""
        raise InputError(f"{label}no {noun} {path}{link}") from error
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{label}{path} cannot be read ({reason})") from error
    if isinstance(found, Kind):
        return found
    raise InputError(f"{label}{path} {found}")


def _no_file(path: Path) -> str:
    if not path.is_dir():
        return "no ordinary file"
    inside = sorted(p for p in (*path.iterdir(), *path.glob("*/*.ckpt")) if p.suffix in _SUFFIXES)
    named = ", ".join(str(p.relative_to(path)) for p in inside[:3]) + (" ..." if len(inside) > 3 else "")
    return f"a folder; it holds {named}: name one of them" if inside else "a folder, without weights in it"


def _kind(path: Path, head: bytes, size: int) -> Kind | str:
    """The format, or what is wrong with the file."""
    if not head:
        return "is empty; get it again"
    if not head.strip(b"\0"):
        return f"holds zeros where it should begin ({size:,} bytes): a copy that was broken off; get it again"
    if (text := _as_text(head)) is not None:
        return _text_problem(text, head)
    if head[:2] == b"PK":
        return _zip_kind(path, size)
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        problem = safetensors_problem(path, head, size)
        if problem is None:
            return Kind.SAFETENSORS
        if head[8:9] == b"{":
            return problem
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Kind.PICKLE
    for beginning, problem in _OTHER_FORMATS.items():
        if head.startswith(beginning):
            return problem
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it first"
    if head[:1] == b"\x08" and b"pytorch" in head[:64]:
        return "is an ONNX model; save the network's state dict instead"
    if path.suffix == ".safetensors":
        return f"is no whole safetensors file ({size:,} bytes); get it again"
    return f"is no file of weights: it begins with the bytes {head[:8].hex(' ')}; expected safetensors or a state dict"


def _as_text(head: bytes) -> str | None:
    """The beginning of a text, or None where the bytes are none."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", errors="replace")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < _HEAD or error.start < len(head) - 4:
            return None
        text = head[: error.start].decode("utf-8")
    return None if re.search(r"[^\t\n\r\f\x1b\x20-\uffff]", text) else text


def _text_problem(text: str, head: bytes) -> str:
    if head.startswith(_LFS):
        size = re.search(r"^size (\d+)$", text, re.MULTILINE)
        of = f" to {int(size[1]):,} bytes" if size else ""
        return f"is a Git LFS pointer{of}, not the file itself; run `git lfs pull` where it was cloned"
    if "/annex/objects/" in text[:200]:
        return "is a git-annex pointer, not the file itself; run `git annex get` where it was cloned"
    begin = text.lstrip("\ufeff \t\r\n").lower()
    if begin.startswith("<"):
        return (
            "is a web page (HTML), as a site sends in place of a file that is not there or needs a login; get it again"
        )
    if '"weight_map"' in text:
        return "is the index of weights that are cut into several files; save them as one file"
    shown = " ".join(text.split())
    shown = shown[:37] + "..." if len(shown) > 40 else shown
    return f"is a text file that begins {shown!r}, no checkpoint and no file of weights"


def _zip_kind(path: Path, size: int) -> Kind | str:
    if not zipfile.is_zipfile(path):
        return f"is half a file: it ends after {size:,} bytes, without the index at its end; get it again"
    members = archive_members(path)
    names = [Path(member.filename).name for member in members]
    if "constants.pkl" in names:
        # a program; torch.save writes none
        return Kind.TORCHSCRIPT
    if "data.pkl" in names:
        return torch_archive_problem(members, size) or Kind.ZIPPED
    if names and all(name.endswith(".npy") for name in names):
        return "is an archive of NumPy arrays; save it as a state dict or safetensors"
    inside = ", ".join(name for name in names if name)[:60] or "nothing"
    return f"is a zip archive that holds {inside}, no checkpoint; unpack it and name the file of weights"
