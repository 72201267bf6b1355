"""What a source is, told from its content, and the images in it; nothing of an image is read yet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from aigenbench.csv_files import read_csv
from aigenbench.curation.reading.entries import Faults, Listing, Rules, in_our_words, listed
from aigenbench.curation.reading.layouts import list_tree
from aigenbench.curation.reading.places import Place, file_place, read
from aigenbench.curation.reading.tables import list_parquet, list_saved, open_parquet, parquet_rows
from aigenbench.curation.reading.trees import Tree, folder_tree, tar_tree, zip_tree
from aigenbench.data.pictures.formats import SUFFIXES, format_of
from aigenbench.data.sources.folders import INDEX
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.tables import is_saved
from aigenbench.errors import InputError
from aigenbench.files import readable_name, user_path

_HEAD = 512
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!")
"""Begin gzip, bzip2, xz, Zstandard, 7z and RAR files."""


def list_source(source: str | Path, rules: Rules) -> Listing:
    """Every image of a source.

    Args:
        source: a folder of images, of archives or of Parquet shards, a saved data set, an archive, a Parquet file, or
            a table of paths in CSV or Parquet.
        rules: how it is read.

    Raises:
        InputError: anything in it cannot be imported: all faults are told together.
    """
    path, listing = user_path(source), Listing(rules)
    if path.is_dir():
        _list_folder(path, listing)
    elif path.is_file():
        _list_file(path, listing)
    else:
        raise InputError(f"{path}: {'neither a file nor a folder' if path.exists() else 'no such file or folder'}")
    listing.check(path, "set that right and import again")
    if not listing.entries and rules.pattern is not None and listing.left_out:
        raise InputError(
            f"{path}: no image's name is as --pattern {rules.pattern!r} says; found {listed(listing.left_out)}"
        )
    if not listing.entries:
        raise InputError(
            f"{path}: no image found; expected real/... and fake/GENERATOR/... , {INDEX}, tar or zip archives, Parquet "
            "shards or a saved data set"
        )
    return listing


def _list_folder(path: Path, listing: Listing) -> None:
    if is_saved(path):
        list_saved(path, listing)
        return
    if (path / INDEX).is_file() and listing.rules.pattern is None:
        _list_table(path / INDEX, listing)
        return
    tree = folder_tree(path, listing.rules.follow_links, listing)
    for name in [name for name in tree if Path(name).suffix.lower() not in SUFFIXES]:
        file = Path(tree[name].path)
        kind = _kind(file)
        if kind in _ARCHIVES:
            _list_archive(file, kind, listing, name.rpartition(".")[0] + "/")
        elif kind == _IMAGES:
            list_parquet(path, file, listing)
        else:
            continue
        del tree[name]
    list_tree(tree, listing)


def _list_file(path: Path, listing: Listing) -> None:
    kind = _kind(path)
    if kind in _ARCHIVES:
        _list_archive(path, kind, listing)
    elif kind == _IMAGES:
        list_parquet(path.parent, path, listing)
    else:
        _refuse_no_table(path)
        _list_table(path, listing)


def _refuse_no_table(path: Path) -> None:
    """Raise InputError for what is often given, and is no table."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_COMPRESSED):
        raise InputError(f"{path} is compressed; unpack it, and import the folder or the tar archive")
    if (picture := format_of(head)) is not None:
        raise InputError(f"{path} is a picture ({picture.name}); give its folder")


def _list_archive(path: Path, kind: str, listing: Listing, prefix: str = "") -> None:
    tree = _ARCHIVES[kind](path, listing)
    index = min((name for name in tree if name.rpartition("/")[2] == INDEX), key=len, default=None)
    if index is None or listing.rules.pattern is not None:
        list_tree(tree, listing, prefix)
        return
    folder = index.removesuffix(INDEX)
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, f"{path.name}-{INDEX}")
        copy.write_bytes(read(tree[index]))
        _list_table(copy, listing, lambda name: tree.get(folder + name.removeprefix("./")))


def _list_table(path: Path, listing: Listing, place_of: Callable[[str], Place | None] | None = None) -> None:
    """List what a table of paths names, in CSV or Parquet: files in its folder where ``place_of`` is None."""
    if _kind(path) == _PATHS:
        rows = [(f"row {number}", row) for number, row in enumerate(parquet_rows(path))]
        if rows and "path" not in rows[0][1]:
            raise InputError(f"{path}: no column 'image' or 'path'; found {', '.join(rows[0][1])}")
    else:
        rows = [(f"line {line}", row) for line, row in read_csv(path, ("path",)).rows]
    names = [str(row["path"] or "").strip() for _, row in rows]
    if place_of is None and not listing.rules.follow_links:
        check_inside(path.parent, [name for name in names if "\0" not in name], str(path))
    for name, (told_as, row) in zip(names, rows, strict=True):
        place = file_place(path.parent / name) if place_of is None else place_of(name)
        if place is None:
            listing.add("files that are missing", readable_name(name) or told_as)
        else:
            listing.found(place, readable_name(name), in_our_words(row), told_as=told_as)


_IMAGES, _PATHS = "Parquet with images", "Parquet without images"
_ARCHIVES: dict[str, Callable[[Path, Faults], Tree]] = {"zip": zip_tree, "tar": tar_tree}


def _kind(path: Path) -> str:
    """What a file's first bytes say, and of Parquet its columns; ``""`` where that is nothing known."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    if not head.startswith(b"PAR1"):
        return ""
    with open_parquet(path) as table:
        return _IMAGES if "image" in table.schema_arrow.names else _PATHS
