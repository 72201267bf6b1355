"""The real images that the benchmark names, in the copies that people download: COCO 2017, RAISE, LAION-400M."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from aigenbench.curation.reading.entries import Entry, Faults, Rules, listed
from aigenbench.curation.reading.layouts import beside
from aigenbench.curation.reading.places import Place, file_place
from aigenbench.curation.reading.sources import list_source
from aigenbench.curation.reading.trees import folder_tree
from aigenbench.data.pictures.formats import SUFFIXES
from aigenbench.errors import InputError
from aigenbench.files import read_json

COCO_FOLDERS = {"COCO2017_train": "train2017", "COCO2017_val": "val2017"}
RAISE, LAION = "RAISE", "LAION-400M"

WHERE = {
    "COCO2017_train": "train2017.zip and annotations_trainval2017.zip of cocodataset.org",
    "COCO2017_val": "val2017.zip and annotations_trainval2017.zip of cocodataset.org",
    RAISE: "loki.disi.unitn.it/RAISE, all images",
    LAION: "the LAION-400M part of ELSA_D3, by img2dataset with its sample ids kept as 'id'",
}
"""Where the images of an origin are found."""

_LARGEST_CAPTIONS = 2**28
"""Bytes; those of the training images have 92 million."""

ByOrigin = Mapping[str, list[str]]
"""Ids of real images by their origin, of which ``WHERE`` names all."""


def ids_by_origin(ids: Iterable[str]) -> dict[str, list[str]]:
    """Ids of real images, such as ``RAISE/r000da54ft``, by what stands before the slash.

    Raises:
        InputError: an id is of no known origin.
    """
    by_origin: dict[str, list[str]] = {origin: [] for origin in WHERE}
    for file_id in ids:
        origin, _, name = file_id.partition("/")
        if origin not in by_origin or not name or (origin in COCO_FOLDERS and not name.isdecimal()):
            raise InputError(f"the lists of ids name {file_id!r}; expected ORIGIN/NAME with one of {', '.join(WHERE)}")
        by_origin[origin].append(file_id)
    return by_origin


def coco_entries(folder: Path, by_origin: ByOrigin) -> list[Entry]:
    """Entries of COCO's images, with their captions in the order of the annotations' ids.

    Raises:
        InputError: images are missing, or the captions.
    """
    entries, faults = [], Faults()
    for origin, images in COCO_FOLDERS.items():
        if not by_origin[origin]:
            continue
        captions, licenses = _annotations(folder / "annotations" / f"captions_{images}.json", origin)
        for file_id in by_origin[origin]:
            number = int(file_id.rpartition("/")[2])
            path = folder / images / f"{number:012d}.jpg"
            place = file_place(path)
            if place is not None:
                facts = {"description": " ".join(captions.get(number, ())), "license": licenses.get(number, "")}
                entries.append(_real(place, file_id, facts))
            else:
                faults.add(f"images missing in {images}, from {WHERE[origin]}", path.name)
    faults.check(folder, "get them")
    return entries


def _annotations(path: Path, origin: str) -> tuple[dict[int, list[str]], dict[int, str]]:
    """Captions and licence of every image, by its number."""
    if not path.is_file():
        raise InputError(f"{path} is missing; it is in {WHERE[origin]}")
    try:
        content = read_json(path, largest=_LARGEST_CAPTIONS)
        names = {one["id"]: str(one["name"]) for one in content.get("licenses", ())}
        captions: dict[int, list[str]] = defaultdict(list)
        for one in sorted(content["annotations"], key=lambda one: one["id"]):
            captions[one["image_id"]].append(str(one["caption"]).strip())
        return captions, {one["id"]: names.get(one.get("license"), "") for one in content.get("images", ())}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no file of COCO's captions ({error!r}); take it anew: {WHERE[origin]}") from error


def raise_entries(folder: Path, by_origin: ByOrigin, rules: Rules) -> list[Entry]:
    """Entries of RAISE's images, which lie under their names, or under a number with the address in a JSON beside.

    Of several files of one name the first counts.

    Raises:
        InputError: images are missing.
    """
    entries, faults = [], Faults()
    tree = folder_tree(folder, rules.follow_links, faults)
    by_name: dict[str, Place] = {}
    for name, place in sorted(tree.items()):
        if PurePosixPath(name).suffix.lower() in SUFFIXES:
            url = beside(tree, name.rpartition(".")[0], faults).get("url")
            by_name.setdefault(_bare(str(url or name)), place)
    for file_id in by_origin[RAISE]:
        wanted = file_id.rpartition("/")[2]
        if _bare(wanted) in by_name:
            entries.append(_real(by_name[_bare(wanted)], file_id, {}))
        else:
            faults.add(f"images missing, from {WHERE[RAISE]}", wanted)
    faults.check(folder, "get them")
    return entries


def _bare(name: str) -> str:
    """The name of an image, whatever its folder, suffix and case."""
    last = PurePosixPath(name)
    return (last.stem if last.suffix.lower() in SUFFIXES else last.name).lower()


def laion_entries(source: Path, by_origin: ByOrigin, rules: Rules) -> list[Entry]:
    """Entries of all images of a download, listed or not: their ids stand in a JSON beside each, or in a ``file_id``.

    Raises:
        InputError: fewer images are there than are listed.
    """
    found: dict[str, Entry] = {}
    images = list_source(source, replace(rules, defaults={"label": "real"})).entries if by_origin[LAION] else []
    for entry in images:
        file_id = f"{LAION}/{entry.file_id.removeprefix(f'{LAION}/')}"
        # a download may hold one twice
        found.setdefault(file_id, _real(entry.place, file_id, {"description": entry.facts.get("description", "")}))
    missing = sorted(set(by_origin[LAION]) - set(found))
    spare = len(found) + len(missing) - len(by_origin[LAION])
    if len(missing) > spare:
        raise InputError(f"{source}: images missing: {listed(missing)}, with {spare} spares; get {WHERE[LAION]}")
    return list(found.values())


def _real(place: Place, file_id: str, facts: Mapping[str, str]) -> Entry:
    origin, _, name = file_id.partition("/")
    told = {key: value for key, value in {**facts, "origin_dataset": origin}.items() if value}
    return Entry(place, file_id, "", "", name, ("", 0), "", told, on_white=True)
