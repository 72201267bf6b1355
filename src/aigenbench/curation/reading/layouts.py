"""What the names of files, the files beside them, and tables of paths say of images."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from aigenbench.curation.reading.entries import SAID, SPLITS, Faults, Listing, in_our_words
from aigenbench.curation.reading.places import Place, read
from aigenbench.curation.reading.trees import Tree
from aigenbench.data.pictures.decode import UnreadableImageError
from aigenbench.data.pictures.finding import is_picture
from aigenbench.data.pictures.formats import HEAD, SUFFIXES, format_of
from aigenbench.errors import InputError
from aigenbench.files import readable_name

Said = dict[str, Any]

_BESIDE = {".txt": "description", ".cls": "label", ".json": ""}
"""Files beside an image of the same name, as WebDataset and img2dataset write them, and what they say."""
_LONGEST_NOTE = 2**20
_FIELDS = tuple(name for name in SAID if name != "file_id")


def list_tree(tree: Tree, listing: Listing, prefix: str = "") -> None:
    """List every picture in a tree; ``prefix`` tells those of several archives apart."""
    pattern = listing.rules.pattern
    said_by = _by_layout if pattern is None else _by_pattern(pattern)
    stems, others = set(), []
    for name, place in sorted(tree.items()):
        stem, shown = name.rpartition(".")[0], readable_name(name)
        said = said_by(shown) if _is_picture(name, place) else None
        if said is None:
            others.append(name)
        else:
            stems.add(stem)
            listing.found(place, prefix + shown, {**said, **beside(tree, stem, listing)})
    listing.left_out += [
        name for name in others if not (name.endswith(tuple(_BESIDE)) and name.rpartition(".")[0] in stems)
    ]


def _is_picture(name: str, place: Place) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES or suffix in _BESIDE:
        return suffix in SUFFIXES
    if place.kind == "file":
        return is_picture(Path(place.path))
    try:
        return format_of(read(place)[:HEAD]) is not None
    except UnreadableImageError:
        return False


def beside(tree: Tree, stem: str, faults: Faults) -> Said:
    """What the files beside an image say: a mapping in JSON, a caption, a class number."""
    said: Said = {}
    for suffix, key in _BESIDE.items():
        place = tree.get(stem + suffix)
        if place is None:
            continue
        try:
            if place.size > _LONGEST_NOTE:
                raise ValueError("too long")
            text = read(place).decode()
            said.update({key: text.strip()} if key else in_our_words(dict(json.loads(text))))
        except (ValueError, TypeError, RecursionError):
            faults.add(f"{suffix} files beside images that cannot be read", readable_name(stem + suffix))
    return said


def _by_layout(name: str) -> Said:
    """``[SPLIT/]real/[ORIGIN/]...`` and ``[SPLIT/]fake/GENERATOR/...``, below any other folders."""
    *folders, _ = PurePosixPath(name).parts
    at = next((i for i, part in enumerate(folders) if part.lower() in ("real", "fake")), len(folders))
    said: Said = {"split": next((part for part in folders[:at] if part in SPLITS), "")}
    if at == len(folders):
        return said
    label, inner = folders[at].lower(), "".join(folders[at + 1 : at + 2])
    return {**said, "label": label, ("generator" if label == "fake" else "origin_dataset"): inner}


def _by_pattern(pattern: str) -> Callable[[str], Said | None]:
    pieces = re.split(r"(\{\w*\}|\*\*/?|\*)", pattern)
    fields = [piece[1:-1] for piece in pieces if piece.startswith("{")]
    wrong = [one for one in fields if one not in _FIELDS or fields.count(one) > 1]
    if wrong:
        raise InputError(
            f"--pattern: {{{wrong[0]}}} is no column or stands twice; expected some of {', '.join(_FIELDS)}"
        )
    meaning = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", **{f"{{{one}}}": f"(?P<{one}>[^/]+?)" for one in fields}}
    matches = re.compile("".join(meaning.get(piece) or re.escape(piece) for piece in pieces)).fullmatch

    def said_by(name: str) -> Said | None:
        found = matches(name)
        return None if found is None else found.groupdict()

    return said_by
