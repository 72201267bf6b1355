"""``manifest.json``: every image of an imported data set, what was decided, and a hash of it all."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aigenbench.curation.inspection import Seen
from aigenbench.curation.reading.entries import Entry
from aigenbench.curation.shards import Row
from aigenbench.files import canonical_json, whole_file

MANIFEST = "manifest.json"
_VERSION = 1


def count(splits: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, int]]:
    """Images of every generator, by split; ``""`` for the reals."""
    return {name: dict(sorted(Counter(entry.generator for entry, _ in rows).items())) for name, rows in splits.items()}


def write_manifest(path: Path, decisions: Mapping[str, Any], splits: Mapping[str, Sequence[Row]]) -> str:
    """Write the manifest, an image a line; returns its hash.

    The last line is the hash: the SHA-256 of all lines before it. No place on this machine is in it, so that the same
    images give the same manifest wherever they lie.

    Args:
        path: to be written.
        decisions: how the data set was put together.
        splits: the rows by split, in order.
    """
    digest = hashlib.sha256()
    with whole_file(path) as temporary, temporary.open("wb") as file:

        def write(text: str) -> None:
            digest.update(text.encode())
            file.write(text.encode())

        write(f'{{\n"version": {_VERSION},\n')
        for key, value in {**decisions, "counts": count(splits)}.items():
            write(f'"{key}": {canonical_json(value)},\n')
        write('"images": [')
        comma = "\n"
        for split, rows in splits.items():
            for number, row in enumerate(rows):
                write(comma + canonical_json({"split": split, "row": number, **_described(row)}))
                comma = ",\n"
        write("\n],\n")
        file.write(f'"hash": "{digest.hexdigest()}"\n}}\n'.encode())
    return digest.hexdigest()


def _described(row: Row) -> dict[str, Any]:
    entry, seen = row
    return {
        "file_id": entry.file_id,
        "generator": entry.generator,
        "sha256": seen.sha256,
        "bytes": seen.size,
        "height": seen.height,
        "width": seen.width,
        "format": seen.form,
        **{name: entry.facts[name] for name in ("origin_dataset", "license") if name in entry.facts},
        **_changed(entry, seen),
    }


def _changed(entry: Entry, seen: Seen) -> dict[str, Any]:
    if not entry.recoding:
        return {"laid_on_white_from": seen.found_sha256} if seen.found_sha256 else {}
    found = {"sha256": seen.found_sha256, "format": seen.found_form}
    return {
        "matched_by": entry.recoding._asdict(),
        "matched_from": {**found, "height": seen.found_height, "width": seen.found_width},
    }
