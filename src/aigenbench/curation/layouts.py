"""What the names of files, the files beside them, and tables of paths say of images."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from aigenbench.curation.entries import SAID, SPLITS, SYNONYMS, Entry, Faults, Rules, make_entry
from aigenbench.curation.places import Place, UnreadableError, read
from aigenbench.curation.trees import Tree
from aigenbench.data.sources.formats import HEAD, SUFFIXES, format_of
from aigenbench.data.sources.pictures import is_picture
from aigenbench.errors import InputError
from aigenbench.files import readable_name

Said = dict[str, Any]

_BESIDE = (".json", ".txt", ".cls")
"""Files beside an image of the same name, as WebDataset and img2dataset write them."""
_LONGEST_NOTE = 2**20
_FIELDS = frozenset(SAID) - {"file_id"}


def tree_entries(tree: Tree, rules: Rules, faults: Faults, left_out: list[str], prefix: str = "") -> Iterator[Entry]:
    """An entry for every picture in a tree.

    Args:
        tree: the files.
        rules: how names are read.
        faults: notes what is wrong.
        left_out: gets the names of files that are no pictures, or do not match the pattern.
        prefix: of the images' names: where several archives hold the same ones.
    """
    of_name = _by_layout if rules.pattern is None else _pattern(rules.pattern)
    stems = {name.rpartition(".")[0] for name in tree if not name.endswith(_BESIDE)}
    for name, place in sorted(tree.items()):
        stem, dot, suffix = name.rpartition(".")
        if not _is_picture(name, dot + suffix.lower(), place):
            if not (name.endswith(_BESIDE) and stem in stems):
                left_out.append(name)
            continue
        said = of_name(name)
        if said is None:
            left_out.append(name)
            continue
        shown = readable_name(prefix + name)
        said = {**said, **beside(tree, stem, faults)}
        entry = make_entry(place, shown, said, (shown, 0), rules, faults, shown)
        if entry is not None:
            yield entry


def _is_picture(name: str, suffix: str, place: Place) -> bool:
    if suffix in SUFFIXES:
        return True
    if suffix in _BESIDE:
        return False
    if place.kind == "file":
        return is_picture(Path(place.path))
    try:
        return format_of(bytes(memoryview(read(place))[:HEAD])) is not None
    except UnreadableError:
        return False


def beside(tree: Tree, stem: str, faults: Faults) -> Said:
    """What the files beside an image say: a mapping in JSON, a caption, a class number."""
    said: Said = {}
    for suffix, key in ((".txt", "description"), (".cls", "label"), (".json", "")):
        place = tree.get(stem + suffix)
        if place is None:
            continue
        try:
            if place.size > _LONGEST_NOTE:
                raise UnreadableError("too long")
            text = bytes(read(place)).decode()
            said.update(_from_json(text) if suffix == ".json" else {key: text.strip()})
        except (UnreadableError, ValueError, RecursionError):
            faults.add(f"{suffix} files beside images that cannot be read", readable_name(stem + suffix))
    return said


def _from_json(text: str) -> Said:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise UnreadableError("no mapping")
    return in_our_words({key: value for key, value in content.items() if isinstance(value, (str, int, list))})


def in_our_words(said: Mapping[str, Any]) -> Said:
    """Synonyms of columns replaced, where the column itself is not there."""
    return {**{ours: said[key] for key, ours in SYNONYMS.items() if key in said}, **said}


def _by_layout(name: str) -> Said | None:
    """``[SPLIT/]real/[ORIGIN/]...`` and ``[SPLIT/]fake/GENERATOR/...``, below any other folders."""
    parts = PurePosixPath(name).parts
    at = next((i for i, part in enumerate(parts[:-1]) if part.lower() in ("real", "fake")), None)
    splits = [part for part in parts[: len(parts) - 1 if at is None else at] if part in SPLITS]
    said: Said = {"split": splits[-1]} if splits else {}
    if at is None:
        return said
    inner = parts[at + 1] if at + 2 < len(parts) else ""
    if parts[at].lower() == "fake":
        return {**said, "label": "fake", **({"generator": inner} if inner else {})}
    return {**said, "label": "real", "generator": "", **({"origin_dataset": inner} if inner else {})}


def _pattern(pattern: str) -> Callable[[str], Said | None]:
    pieces = re.split(r"(\{\w*\}|\*\*/?|\*)", pattern)
    fields = [piece[1:-1] for piece in pieces if piece.startswith("{")]
    for one in fields:
        if one not in _FIELDS or fields.count(one) > 1:
            known = ", ".join(f"{{{name}}}" for name in SAID if name in _FIELDS)
            raise InputError(f"--pattern {pattern!r}: {{{one}}} is no column or stands twice; expected {known}")
    meaning = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*"}
    matches = re.compile(
        "".join(
            f"(?P<{piece[1:-1]}>[^/]+?)" if piece.startswith("{") else meaning.get(piece) or re.escape(piece)
            for piece in pieces
        )
    ).fullmatch

    def of_name(name: str) -> Said | None:
        found = matches(name)
        return None if found is None else found.groupdict()

    return of_name


def index_entries(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    place_of: Callable[[str], Place | str],
    rules: Rules,
    faults: Faults,
) -> Iterator[Entry]:
    """An entry for every row of a table of paths.

    Args:
        rows: how a row is called in messages, and its values by column.
        place_of: the place of a path, or what is wrong with it.
        rules: defaults for what the table does not say.
        faults: notes what is wrong.
    """
    for told_as, row in rows:
        path = str(row.get("path") or "").strip()
        place = place_of(path) if path else "rows without a path"
        if isinstance(place, str):
            faults.add(place, readable_name(path) or told_as)
            continue
        name = readable_name(path)
        file_id = str(row.get("file_id") or name)
        entry = make_entry(place, name, in_our_words(row), (file_id, 0), rules, faults, told_as)
        if entry is not None:
            yield entry
