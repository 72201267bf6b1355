"""What a source is, told from its content, and the images in it; nothing of an image is read yet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aigenbench.csv_files import read_csv
from aigenbench.curation.entries import Entry, Faults, Rules
from aigenbench.curation.layouts import index_entries, tree_entries
from aigenbench.curation.places import Place, read
from aigenbench.curation.tables import open_parquet, parquet_entries, saved_entries
from aigenbench.curation.trees import Tree, folder_tree, tar_tree, within, zip_tree
from aigenbench.data.sources.folders import INDEX
from aigenbench.data.sources.formats import SUFFIXES
from aigenbench.data.sources.tables import is_saved
from aigenbench.errors import InputError
from aigenbench.files import user_path

_HEAD = 512


def list_source(source: str | Path, rules: Rules, left_out: list[str]) -> list[Entry]:
    """An entry for every image of a source.

    Args:
        source: a folder of images, of archives or of Parquet shards, a saved data set, an archive, a Parquet file, or
            a table of paths in CSV or Parquet.
        rules: how it is read.
        left_out: gets the names of files that are none of this.

    Raises:
        InputError: anything in it cannot be imported: all faults are told together.
    """
    path, faults = user_path(source), Faults()
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    entries = list(_folder(path, rules, faults, left_out) if path.is_dir() else _file(path, rules, faults, left_out))
    faults.check(path, "set that right and import again")
    if not entries:
        raise InputError(
            f"{path}: no image found; expected real/... and fake/GENERATOR/... , {INDEX}, tar or zip archives, Parquet "
            "shards or a saved data set"
        )
    return entries


def _folder(path: Path, rules: Rules, faults: Faults, left_out: list[str]) -> Iterator[Entry]:
    if is_saved(path):
        yield from saved_entries(path, rules, faults)
        return
    if (path / INDEX).is_file() and rules.pattern is None:
        yield from _table(path / INDEX, partial(within, path, follow_links=rules.follow_links), rules, faults)
        return
    tree = folder_tree(path, rules.follow_links, faults)
    for name in [name for name in tree if Path(name).suffix.lower() not in SUFFIXES]:
        file = Path(tree[name].path)
        kind = _kind(file)
        if kind in _ARCHIVES:
            yield from _archive(file, kind, rules, faults, left_out, name.rpartition(".")[0] + "/")
        elif kind == _IMAGES:
            yield from parquet_entries(path, file, rules, faults)
        else:
            continue
        del tree[name]
    yield from tree_entries(tree, rules, faults, left_out)


def _file(path: Path, rules: Rules, faults: Faults, left_out: list[str]) -> Iterator[Entry]:
    kind = _kind(path)
    if kind in _ARCHIVES:
        return _archive(path, kind, rules, faults, left_out)
    if kind == _IMAGES:
        return parquet_entries(path.parent, path, rules, faults)
    return _table(path, partial(within, path.parent, follow_links=rules.follow_links), rules, faults)


def _archive(
    path: Path, kind: str, rules: Rules, faults: Faults, left_out: list[str], prefix: str = ""
) -> Iterator[Entry]:
    tree = _ARCHIVES[kind](path, faults)
    index = min((name for name in tree if name.rpartition("/")[2] == INDEX), key=len, default=None)
    if index is None or rules.pattern is not None:
        yield from tree_entries(tree, rules, faults, left_out, prefix)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name + "-" + INDEX)
        copy.write_bytes(read(tree[index]))
        yield from _table(copy, partial(_member, tree, index.removesuffix(INDEX)), rules, faults)


def _member(tree: Tree, folder: str, name: str) -> Place | str:
    return tree.get(folder + name.removeprefix("./"), "members that are missing")


def _table(path: Path, place_of: Callable[[str], Place | str], rules: Rules, faults: Faults) -> Iterator[Entry]:
    """Entries of a table of paths, in CSV or Parquet."""
    rows: Iterator[tuple[str, Mapping[str, Any]]]
    if _kind(path) == _PATHS:
        with open_parquet(path) as file:
            found = file.read().to_pylist()
        if found and "path" not in found[0]:
            raise InputError(f"{path}: no column 'image' or 'path'; found {', '.join(found[0])}")
        rows = ((f"row {number}", row) for number, row in enumerate(found))
    else:
        rows = ((f"line {line}", row) for line, row in read_csv(path, ("path",)).rows)
    return index_entries(rows, place_of, rules, faults)


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
