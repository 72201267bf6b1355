"""Submissions of strangers, verified; one in ten beside a good one, built into a page."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from evaluation_honest import PER_GENERATOR, write_honest

from fuzz.structures import archive, changed, json_bytes, npz
from fuzz.yaml_files import yaml_text


@lru_cache
def members() -> dict[str, bytes]:
    """What a good bundle holds."""
    from aigenbench.evaluation.leaderboard.submission import make_submission

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.zip"
        make_submission(write_honest(Path(folder) / "experiment_good"), path, {"name": "good"})
        with zipfile.ZipFile(path) as file:
            return {name: file.read(name) for name in file.namelist()}


def make(folder: Path, rng: random.Random) -> None:
    """A bundle that may be unsound, and perhaps a sound one."""
    if rng.random() < 0.1:
        (folder / "good.zip").write_bytes(archive(members(), rng, damaged=False))
    contents = {name: data for name, data in members().items() if name != "manifest.json"}
    manifest = json.loads(members()["manifest.json"])
    how = rng.random()
    if how < 0.3:
        for _ in range(rng.randint(1, 3)):
            part = rng.choice(("card", "scores", "files", "stage", "experiment", "versions"))
            manifest[part] = changed(manifest[part], rng)
    elif how < 0.55:
        contents["config.yaml"] = yaml_text(rng)
    elif how < 0.75:
        name = rng.choice([name for name in contents if name.endswith(".npz")])
        with np.load(io.BytesIO(contents[name])) as arrays:
            contents[name] = npz(dict(arrays), rng)
    if rng.random() < 0.9:
        manifest["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    text = json_bytes(manifest, rng) if how > 0.85 else json.dumps(manifest).encode()
    (folder / rng.choice(("odd.zip", "\x1b[2J.zip"))).write_bytes(
        archive({"manifest.json": text, **contents}, rng, how > 0.7)
    )


def check(folder: Path) -> None:
    """Verify it, or build the page: the good one must be on it."""
    from aigenbench.errors import printable
    from aigenbench.evaluation.leaderboard.page import build_leaderboard
    from aigenbench.evaluation.leaderboard.verify import verify_submission

    if not (folder / "good.zip").exists():
        (path,) = folder.iterdir()
        for one in verify_submission(path, PER_GENERATOR).checks:
            assert printable(one.found, line=True) == one.found
        return
    entries, rejected = build_leaderboard(folder, folder / "site", PER_GENERATOR, replicates=20)
    assert "good.zip" in {entry.file for entry in entries}, rejected
    assert len(entries) + len(rejected) == 2
