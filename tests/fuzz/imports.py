"""Sources of the import: archives, tables, saved data sets, files beside images."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from curation_forms import GENERATORS, Forms, write_indices

from fuzz.mutators import ODD_NUMBERS, mutated

KINDS = ("zip", "tar", "parquet", "index", "notes", "saved")
KEYS = ("label", "generator", "split", "id", "file_id", "group", "caption", "prompt", "paired_real_images", "license")
ODD_VALUES = (None, True, 1.5, "real", "fake", "DDPM", "\ud800", "\0", "train", "../x", [], [1], {"a": 1}, ["x", None])


def make(folder: Path, rng: random.Random) -> None:
    """One source, a part of which is damaged."""
    forms, kind = Forms(), rng.choice(KINDS)
    files = forms.files(each=1, reals=2)
    if kind == "saved":
        _saved(folder, forms, rng)
        return
    if kind == "notes":
        files = {f"{n}.json": _notes(rng) for n in range(3)} | {f"{n}.png": forms.picture(n) for n in range(3)}
        forms.tar(folder / "source", files)
        return
    if kind == "index":
        names = [name for name in files if rng.random() < 0.9]
        lines = [f"{n},{n[:4]},{n.split('/')[1] if n.startswith('fake') else ''},{i}" for i, n in enumerate(names)]
        forms.folder(folder, files)
        data = "\n".join(["path,label,generator,group", *lines]).encode()
    else:
        path = getattr(forms, kind)(folder / "source", files)
        data = path.read_bytes()
    (folder / "source").write_bytes(mutated(data, rng))


def _notes(rng: random.Random) -> bytes:
    keys = rng.sample(KEYS, rng.randrange(len(KEYS)))
    said: dict[str, Any] = {key: rng.choice((*ODD_VALUES, *ODD_NUMBERS, *GENERATORS)) for key in keys}
    text = json.dumps(said).encode()
    return rng.choice((text, text, text, mutated(text, rng), b"[" * 100_000, b"NaN", b'"text"'))


def _saved(folder: Path, forms: Forms, rng: random.Random) -> None:
    from aigenbench.curation import import_data

    whole = import_data(forms.folder(folder / "files", forms.files(1, 2)), out=folder / "whole", validation=0).path
    write_indices(folder / "source", whole, [3, 1, 2])
    for name in ("files", "whole"):
        shutil.rmtree(folder / name)
    damaged = rng.choice(sorted(path for path in (folder / "source").rglob("*") if path.is_file()))
    damaged.write_bytes(mutated(damaged.read_bytes(), rng))


def check(folder: Path) -> None:
    """Import it."""
    from aigenbench.curation import import_data

    import_data(folder / "source", out=folder / "set", defaults={"split": "train"}, skip_unreadable=True)
