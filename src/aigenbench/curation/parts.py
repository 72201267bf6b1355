"""The real images that the benchmark names, in the copies that people download: COCO 2017, RAISE, LAION-400M."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from aigenbench.curation.entries import Entry, Faults, Rules
from aigenbench.curation.layouts import beside
from aigenbench.curation.places import Place, stamp_of
from aigenbench.curation.sources import list_source
from aigenbench.curation.trees import folder_tree
from aigenbench.data.sources.formats import SUFFIXES
from aigenbench.errors import InputError
from aigenbench.files import read_regular

COCO_FOLDERS = {"COCO2017_train": "train2017", "COCO2017_val": "val2017"}
RAISE, LAION = "RAISE", "LAION-400M"

WHERE = {
    "COCO2017_train": "train2017.zip and annotations_trainval2017.zip of cocodataset.org",
    "COCO2017_val": "val2017.zip and annotations_trainval2017.zip of cocodataset.org",
    RAISE: "loki.disi.unitn.it/RAISE, all images",
    LAION: "the LAION-400M part of ELSA_D3, by img2dataset with its sample ids kept as 'id'",
}
"""Where the images of an origin are found."""


def part_of_id(file_id: str) -> tuple[str, str]:
    """Origin and name of a real image, such as ``("RAISE", "r000da54ft")``."""
    origin, _, name = file_id.partition("/")
    return origin, name


def coco_entries(folder: Path, ids: Iterable[str], faults: Faults) -> list[Entry]:
    """Entries of COCO's images that are there, with their captions in the order of the annotations' ids."""
    by_origin: dict[str, list[str]] = defaultdict(list)
    for file_id in ids:
        by_origin[part_of_id(file_id)[0]].append(file_id)
    entries = []
    for origin, of_origin in by_origin.items():
        captions, licenses = _annotations(folder / "annotations" / f"captions_{COCO_FOLDERS[origin]}.json", origin)
        for file_id in of_origin:
            number = part_of_id(file_id)[1]
            path = folder / COCO_FOLDERS[origin] / f"{number:0>12}.jpg"
            if not path.is_file():
                faults.add(f"{path.parent}: images missing, from {WHERE[origin]}", path.name)
                continue
            facts = {
                "description": " ".join(captions.get(number.lstrip("0"), ())),
                "license": licenses.get(number.lstrip("0"), ""),
            }
            entries.append(_real(Place("file", str(path), "", path.stat().st_size, stamp_of(path)), file_id, facts))
    return entries


def _annotations(path: Path, origin: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Captions and licence of every image, by its number."""
    try:
        content = json.loads(read_regular(path))
        names = {one["id"]: str(one["name"]) for one in content.get("licenses", ())}
        captions: dict[str, list[str]] = defaultdict(list)
        for one in sorted(content["annotations"], key=lambda one: one["id"]):
            captions[str(one["image_id"])].append(str(one["caption"]).strip())
        licenses = {str(one["id"]): names.get(one.get("license"), "") for one in content.get("images", ())}
    except FileNotFoundError:
        raise InputError(f"{path} is missing; it is in {WHERE[origin]}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no file of COCO's captions ({error!r}); take it anew: {WHERE[origin]}") from error
    return captions, licenses


def raise_entries(folder: Path, ids: Iterable[str], rules: Rules, faults: Faults) -> list[Entry]:
    """Entries of RAISE's images that are there, under their names or under a number with the address in a JSON beside.

    Of several files of one name the first counts.
    """
    tree = folder_tree(folder, rules.follow_links, faults)
    by_name: dict[str, Place] = {}
    for name, place in sorted(tree.items()):
        stem, dot, suffix = name.rpartition(".")
        if dot + suffix.lower() in SUFFIXES:
            url = beside(tree, stem, faults).get("url")
            by_name.setdefault(_bare(str(url) if url else name), place)
    entries = []
    for file_id in ids:
        found = by_name.get(_bare(part_of_id(file_id)[1]))
        if found is None:
            faults.add(f"{folder}: images missing, from {WHERE[RAISE]}", part_of_id(file_id)[1])
        else:
            entries.append(_real(found, file_id, {}))
    return entries


def _bare(name: str) -> str:
    """The name of an image, whatever its folder, suffix and case."""
    last = PurePosixPath(name).name
    return (last.rpartition(".")[0] if PurePosixPath(last).suffix.lower() in SUFFIXES else last).lower()


def laion_entries(source: str | Path, rules: Rules) -> dict[str, Entry]:
    """Entries of all images of a download, by id; the sample id stands in a JSON beside each, or in ``file_id``."""
    found = list_source(source, replace(rules, defaults={"label": "real"}), [])
    entries = {}
    for entry in found:
        file_id = f"{LAION}/{entry.file_id.removeprefix(f'{LAION}/')}"
        entries[file_id] = _real(entry.place, file_id, {"description": entry.facts.get("description", "")})
    return entries


def _real(place: Place, file_id: str, facts: dict[str, Any]) -> Entry:
    name = PurePosixPath(place.path).name if place.kind == "file" else part_of_id(file_id)[1]
    facts = {key: value for key, value in facts.items() if value}
    return Entry(place, file_id, "", "", name, ("", 0), "", {**facts, "origin_dataset": part_of_id(file_id)[0]}, True)


def origins(ids: Sequence[str]) -> dict[str, list[str]]:
    """Ids by origin.

    Raises:
        InputError: an id is of no known origin.
    """
    by_origin: dict[str, list[str]] = {origin: [] for origin in WHERE}
    for file_id in ids:
        origin, name = part_of_id(file_id)
        if origin not in by_origin or not name or (origin in COCO_FOLDERS and not name.isdecimal()):
            raise InputError(f"the lists of ids name {file_id!r}; expected ORIGIN/NAME with one of {', '.join(WHERE)}")
        by_origin[origin].append(file_id)
    return by_origin
