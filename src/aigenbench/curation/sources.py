"""What a source is, told from its content, and the images in it; nothing of an image is read yet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aigenbench.csv_files import read_csv
from aigenbench.curation.entries import Entry, Faults, Rules
from aigenbench.curation.layouts import index_entries, tree_entries
from aigenbench.curation.places import Place, read
from aigenbench.curation.trees import Tree, folder_tree, tar_tree, within, zip_tree
from aigenbench.data.sources.folders import INDEX
from aigenbench.data.sources.formats import SUFFIXES
from aigenbench.data.sources.tables import is_saved
from aigenbench.errors import InputError
from aigenbench.files import user_path

_HEAD = 512
_IMAGE = "image"


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
    path = user_path(source)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    faults = Faults()
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
        from aigenbench.curation.tables import saved_entries

        yield from saved_entries(path, rules, faults)
        return
    if (path / INDEX).is_file() and rules.pattern is None:
        yield from _csv(path / INDEX, partial(within, path, follow_links=rules.follow_links), rules, faults)
        return
    tree = folder_tree(path, rules.follow_links, faults)
    for name in [name for name in tree if Path(name).suffix.lower() not in SUFFIXES]:
        file = Path(tree[name].path)
        kind = _begins(file)
        if kind in _ARCHIVES:
            yield from _archive(file, rules, faults, left_out, name.rpartition(".")[0] + "/")
        elif kind == "parquet" and _IMAGE in _parquet_columns(file):
            yield from _parquet(path, file, rules, faults)
        else:
            continue
        del tree[name]
    yield from tree_entries(tree, rules, faults, left_out)


def _file(path: Path, rules: Rules, faults: Faults, left_out: list[str]) -> Iterator[Entry]:
    kind = _begins(path)
    if kind in _ARCHIVES:
        yield from _archive(path, rules, faults, left_out)
    elif kind == "parquet" and _IMAGE in _parquet_columns(path):
        yield from _parquet(path.parent, path, rules, faults)
    else:
        place_of = partial(within, path.parent, follow_links=rules.follow_links)
        if kind == "parquet":
            yield from index_entries(_parquet_rows(path), place_of, rules, faults)
        else:
            yield from _csv(path, place_of, rules, faults)


def _parquet(root: Path, path: Path, rules: Rules, faults: Faults) -> Iterator[Entry]:
    from aigenbench.curation.tables import parquet_entries

    return parquet_entries(root, path, rules, faults)


def _archive(path: Path, rules: Rules, faults: Faults, left_out: list[str], prefix: str = "") -> Iterator[Entry]:
    tree = _ARCHIVES[_begins(path)](path, faults)
    index = min((name for name in tree if name.rpartition("/")[2] == INDEX), key=len, default=None)
    if index is None or rules.pattern is not None:
        yield from tree_entries(tree, rules, faults, left_out, prefix)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name, INDEX)
        copy.parent.mkdir()
        copy.write_bytes(read(tree[index]))
        yield from _csv(copy, partial(_member, tree, index.removesuffix(INDEX)), rules, faults)


def _member(tree: Tree, folder: str, name: str) -> Place | str:
    return tree.get(folder + name.removeprefix("./"), "members that are missing")


def _csv(path: Path, place_of: Callable[[str], Place | str], rules: Rules, faults: Faults) -> Iterator[Entry]:
    rows = read_csv(path, ("path",)).rows
    yield from index_entries(((f"line {line}", row) for line, row in rows), place_of, rules, faults)


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    columns = _parquet_columns(path)
    if "path" not in columns:
        raise InputError(f"{path}: no column '{_IMAGE}' or 'path'; found {', '.join(columns)}")
    from aigenbench.curation.tables import open_parquet

    rows = open_parquet(path).read().to_pylist()
    return ((f"row {number}", row) for number, row in enumerate(rows))


def _parquet_columns(path: Path) -> Sequence[str]:
    from aigenbench.curation.tables import open_parquet

    return list(open_parquet(path).schema_arrow.names)


def _begins(path: Path) -> str:
    """What a file's first bytes say: ``parquet``, ``zip``, ``tar``, or nothing known."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    return "tar" if head[257:262] == b"ustar" else ""


_ARCHIVES: dict[str, Callable[[Path, Faults], Tree]] = {"zip": zip_tree, "tar": tar_tree}
