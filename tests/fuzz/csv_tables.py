"""CSV: predictions made elsewhere, an index of images, a timeline."""

from __future__ import annotations

import random
from pathlib import Path

from evaluation_honest import COLUMNS, write_csv

from fuzz.mutators import mutated
from fuzz.structures import ODD_TEXTS

INDEX = "path,label,generator,split,note\n" + "".join(
    f"{kind}/{i}.png,{kind},{'ADM' if kind == 'fake' else ''},{split},x\n"
    for kind in ("real", "fake")
    for split in ("train", "validation")
    for i in range(3)
)
TIMELINE = "generator,date\nADM,2021-05-11\nMine,2024-01-01\n"
ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7")


def csv_bytes(text: str, rng: random.Random) -> bytes:
    """A CSV file with damage in its cells, lines, delimiters, encoding or bytes."""
    lines = [line.split(",") for line in text.splitlines()]
    for _ in range(rng.choice((0, 1, 1, 3))):
        row = rng.choice(lines[: rng.choice((1, 3, len(lines)))])
        how = rng.random()
        if how < 0.5:
            row[rng.randrange(len(row))] = rng.choice(
                (*ODD_TEXTS, "-1", "1e9", "nan", "٣", "1_0", "9" * 5000, '"', "a\x00")
            )
        elif how < 0.7:
            row.insert(rng.randrange(len(row) + 1), rng.choice(ODD_TEXTS))
        elif how < 0.85:
            row.pop(rng.randrange(len(row)))
            row.append("")
        else:
            lines.append(list(row))
    delimiter = rng.choice((",", ",", ",", ";", "\t", "|"))
    data = rng.choice(("\n", "\n", "\r\n", "\r")).join(delimiter.join(row) for row in lines)
    encoded = data.encode(rng.choice(ENCODINGS), "replace")
    if rng.random() < 0.03:
        encoded += rng.choice((b"a,b\n" * 500_000, b"," * 2_000_000, b'"' + b"x" * 2_000_000, b"\n" * 5_000_000))
    return mutated(encoded, rng) if rng.random() < 0.3 else encoded


def make(folder: Path, rng: random.Random) -> None:
    """A file whose name says what it is."""
    kind = rng.choice(("scores", "index", "timeline"))
    texts = {"index": INDEX, "timeline": TIMELINE}
    text = texts.get(kind) or write_csv(folder / "scores.csv", windows=rng.choice((1, 9))).read_text()
    (folder / f"{kind}.csv").write_bytes(csv_bytes(text, rng))


def check(folder: Path) -> None:
    """Read it as what it is."""
    from aigenbench.data.sources.folders import open_indexed_folder
    from aigenbench.evaluation.predictions.external import import_csv
    from aigenbench.protocol.timeline import load_timeline

    (path,) = folder.iterdir()
    if path.stem == "scores":
        import_csv(path, COLUMNS, folder / "experiment")
    elif path.stem == "index":
        open_indexed_folder(folder)
    else:
        load_timeline(path)
