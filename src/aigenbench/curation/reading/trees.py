"""The files below a folder, and in zip and tar archives, as names and places: one tree, whatever holds it."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from aigenbench.curation.reading.entries import Faults
from aigenbench.curation.reading.places import Place, file_place, stamp_of
from aigenbench.data.pictures.formats import SUFFIXES
from aigenbench.data.sources.inside import check_inside
from aigenbench.errors import InputError
from aigenbench.files import readable_name

Tree = dict[str, Place]
"""Place of every file by its name within, with ``/`` between the parts."""

_BOMB = 1000
"""A member that unpacks to more than so many times its size: deflate gives up to 1032, of nothing but one byte."""
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_REGULAR, _KIND = 0o100000, 0o170000
_LINKS = "members that are links or devices"


def folder_tree(root: Path, follow_links: bool, faults: Faults) -> Tree:
    """All files below a folder; hidden ones are left out.

    Args:
        root: the folder.
        follow_links: take what links lead to, each folder once; else only files that lie within.
        faults: gets folders that cannot be read, and images that are links to nothing.

    Raises:
        InputError: links lead out, and are not to be followed.
    """
    tree: Tree = {}
    links = []
    waiting, seen = [(str(root), "")], {os.path.realpath(root)}
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            faults.add(f"folders that cannot be read ({error.strerror})", readable_name(folder))
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                links.append(name)
            if entry.is_dir(follow_symlinks=follow_links) and (real := os.path.realpath(entry.path)) not in seen:
                seen.add(real)
                waiting.append((entry.path, name + "/"))
            elif (place := file_place(entry.path)) is not None:
                tree[name] = place
            elif entry.is_symlink() and not Path(entry.path).exists() and Path(name).suffix.lower() in SUFFIXES:
                faults.add("links that lead nowhere", readable_name(name))
    if not follow_links:
        check_inside(root, links, str(root))
    return tree


def zip_tree(path: Path, faults: Faults) -> Tree:
    """The files in a zip archive.

    Raises:
        InputError: it is damaged.
    """
    stamp = stamp_of(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not one.filename.endswith("/")]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} is a damaged zip archive ({error}); copy it again") from error
    if sum(one.compress_size for one in members) > stamp[0]:
        raise InputError(f"{path}: its members are larger together than the archive; it was made to do harm")
    tree: Tree = {}
    for one in members:
        if (one.external_attr >> 16) & _KIND not in (0, _REGULAR):
            faults.add(_LINKS, readable_name(one.filename))
        elif one.flag_bits & _ENCRYPTED or one.compress_type not in _METHODS:
            faults.add("members that are encrypted, or neither stored nor deflated", readable_name(one.filename))
        elif one.file_size > _BOMB * max(one.compress_size, 1):
            faults.add(f"members that unpack to more than {_BOMB} times their size", readable_name(one.filename))
        else:
            _add(tree, one.filename, Place("zip", str(path), one.filename, one.file_size, stamp), faults)
    return tree


def tar_tree(path: Path, faults: Faults) -> Tree:
    """The files in a tar archive without compression.

    Raises:
        InputError: it is damaged or compressed.
    """
    stamp = stamp_of(path)
    try:
        with tarfile.open(path, "r:") as archive:
            members = [one for one in archive if not one.isdir()]
    except (tarfile.TarError, OSError, ValueError) as error:
        raise InputError(f"{path} is a damaged tar archive ({error}); copy it again") from error
    tree: Tree = {}
    for one in members:
        if one.isreg() and not one.issparse():
            _add(tree, one.name, Place("tar", str(path), one.offset_data, one.size, stamp), faults)
        else:
            faults.add(_LINKS, readable_name(one.name))
    return tree


def _add(tree: Tree, member: str, place: Place, faults: Faults) -> None:
    parts = PurePosixPath(member.replace("\\", "/")).parts
    name = "/".join(parts)
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0]:
        faults.add("members whose names lead out of the archive", readable_name(member))
    elif name in tree:
        faults.add("members that stand twice", readable_name(member))
    elif not any(part.startswith(".") or part == "__MACOSX" for part in parts):
        tree[name] = place
