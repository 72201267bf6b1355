"""The zip file of a submission: what is in it, written and read without trusting it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aigenbench import files
from aigenbench.archives import open_zip
from aigenbench.errors import InputError
from aigenbench.json_text import parse_json

BUNDLE_SCHEMA = 1
MANIFEST = "manifest.json"
LARGEST_TEXT = 4 * 2**20
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def predictions_name(window: int) -> str:
    """Name of a window's predictions inside a bundle."""
    return f"predictions/window_{window}.npz"


def write_bundle(path: Path | str, manifest: dict[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write a bundle; the manifest gets the SHA-256 of every other file. The same content gives the same bytes."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    text = json.dumps({"schema": BUNDLE_SCHEMA, **manifest, "files": hashes}, indent=1, ensure_ascii=False)
    with files.whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in {MANIFEST: text.encode(), **contents}.items():
            entry = zipfile.ZipInfo(name, _FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


def read_bundle(path: Path | str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a bundle into memory; nothing is written, whatever names it holds.

    Returns:
        The manifest, and the other files by name, each equal to its SHA-256 in the manifest.

    Raises:
        InputError: not a zip file, or one whose names, sizes, hashes or manifest are not what they must be.
    """
    with open_zip(path) as archive:
        for entry in archive.infolist():
            if not entry.filename.endswith(".npz") and entry.file_size > LARGEST_TEXT:
                raise InputError(f"{entry.filename!r} has {entry.file_size} bytes, more than such a file needs")
        contents = {name: archive.read(name) for name in archive.namelist()}
    path = Path(path)
    manifest = _manifest(path, contents.pop(MANIFEST, None))
    _check_hashes(path, manifest["files"], contents)
    return manifest, contents


def _manifest(path: Path, data: bytes | None) -> dict[str, Any]:
    if data is None:
        raise InputError(f"{path}: no {MANIFEST}; is this a file of `aigenbench submission make`?")
    where = f"{path}: {MANIFEST}"
    manifest = parse_json(files.decoded(data, where), where)
    wanted = {"schema": int, "experiment": str, "stage": str, "scores": dict, "card": dict, "files": dict}
    for name, kind in wanted.items():
        if not isinstance(manifest.get(name), kind):
            raise InputError(f"{path}: {MANIFEST} lacks {name!r} ({kind.__name__})")
    if manifest["schema"] != BUNDLE_SCHEMA:
        raise InputError(f"{path}: bundle schema {manifest['schema']}; this version reads {BUNDLE_SCHEMA}")
    return dict(manifest)


def _check_hashes(path: Path, hashes: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    if hashes.keys() != contents.keys():
        odd = sorted(hashes.keys() ^ contents.keys())[0]
        raise InputError(f"{path}: {odd!r} stands in only one of manifest and bundle")
    for name, data in contents.items():
        if hashlib.sha256(data).hexdigest() != hashes[name]:
            raise InputError(f"{path}: {name!r} is not the file that the manifest names: its SHA-256 differs")
