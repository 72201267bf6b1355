"""What a file of weights says of its contents, checked against its size before a library is given it."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError
from aigenbench.json_text import parse_json

_LARGEST_HEADER = 100_000_000  # as the safetensors library's
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Of the types of safetensors; those that are not here are the library's to refuse."""


def safetensors_problem(path: Path, head: bytes, size: int) -> str | None:
    """Why a file of ``size`` bytes that begins with ``head`` is no whole safetensors file; None where it is one."""
    length = int.from_bytes(head[:8], "little")
    if size < 9 or length > _LARGEST_HEADER:
        return f"is half a file or no safetensors ({size:,} bytes); get it again"
    if size < 8 + length:
        return f"is half a file: {size:,} bytes, and its header alone has {length:,}; get it again"
    header = _header(path)
    if header is None:
        return "is damaged: its header is no safetensors header; get it again"
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    expected = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if size != expected:
        what = "half a file" if size < expected else "damaged"
        return f"is {what}: {size:,} bytes, {expected:,} are expected by its header; get it again"
    for name, entry in tensors.items():
        begin, end = entry["data_offsets"]
        bits = _BITS.get(entry["dtype"])
        if bits is not None and math.prod(entry["shape"]) * bits != 8 * (end - begin):
            return f"is damaged: the bytes of its tensor {name[:100]!r} do not fit its shape; get it again"
    return None


def metadata_of(path: Path) -> dict[str, str]:
    """What a whole safetensors file says of itself."""
    return {str(key): str(value) for key, value in ((_header(path) or {}).get("__metadata__") or {}).items()}


def _header(path: Path) -> dict[str, Any] | None:
    """A safetensors header, or None where it has another form."""
    with path.open("rb") as file:
        raw = file.read(int.from_bytes(file.read(8), "little"))
    try:
        header: dict[str, Any] = parse_json(raw.decode(), str(path))
    except (UnicodeDecodeError, InputError):
        return None
    metadata = header.get("__metadata__")
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    return header if isinstance(metadata, dict | None) and all(map(_is_entry, entries)) else None


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        return False
    numbers = (entry["shape"], entry["data_offsets"])
    return (
        isinstance(entry["dtype"], str)
        and all(isinstance(one, list) and all(type(n) is int and n >= 0 for n in one) for one in numbers)
        and len(entry["data_offsets"]) == 2
    )


def archive_members(path: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip archive, as its directory tells of them.

    Raises:
        BadZipFile: it has no directory that can be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (NotImplementedError, ValueError) as error:
        # a version of zip to come; a name that is no UTF-8
        raise zipfile.BadZipFile(f"its directory is damaged: {error}") from error


def torch_archive_problem(members: list[zipfile.ZipInfo], size: int) -> str | None:
    """Why an archive of ``size`` bytes is none that ``torch.save`` writes; None where it is one."""
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        return "is damaged: a member of its archive stands twice; get it again"
    for member in members:
        if (
            member.compress_type != zipfile.ZIP_STORED
            or member.file_size != member.compress_size
            or member.flag_bits & 1
        ):
            return "is compressed, as torch.save compresses nothing; unpack it and save it again"
    if sum(member.file_size for member in members) > size:
        return "is damaged: its archive says that it holds more than the file; get it again"
    return None
