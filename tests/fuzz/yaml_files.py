"""YAML: configs of a user, resolved ones of a run, model cards, timelines."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import yaml

from fuzz.mutators import mutated
from fuzz.structures import changed

CONFIGS = Path(__file__).resolve().parents[2] / "training_configurations"
TIMELINE = "generators:\n  ADM: 2021-05-11\n  Mine: 2024-01-01\n  Other: 2025-02-03\nextend: true\n"
CARD = "name: Mine\nparameters: 1000\nlicence: MIT\ntraining_hours: 1.5\nauthors: [A, B]\n"
HOSTILE = (
    "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n",
    "a: &a\n  b: *a\n",
    "&a [*a]",
    "? [1, 2]\n: x\n",
    "? &a [*a]\n: x\n",
    "date: 2001-99-99\n",
    "a: !!timestamp 2001-99-99\n",
    "a: !!timestamp x\n",
    "a: !!int ''\n",
    "a: !!bool x\n",
    "a: !!float ''\n",
    "a: !!binary '=='\n",
    "a: !!omap [1]\n",
    "a: !!set {x}\n",
    "a: !!python/object/apply:os.system [x]\n",
    "a: " + "9" * 5000 + "\n",
    "a: 0x" + "f" * 5000 + "\n",
    'a: "\\ud800"\n',
    'a: "\\x1b[2J"\n',
    "<<: [1]\n",
    "<<: *a\n",
    "a: {<<: {<<: {a: 1}}}\n",
    "%YAML 9.9\n---\na: 1\n",
    "%TAG ! tag:x,2000:\n---\na: !b c\n",
    "a: 1\n---\nb: 2\n",
    "- " * 3000 + "x\n",
    "a: |\n" + " b\n" * 3000,
)


@lru_cache
def whole() -> list[str]:
    """Texts without fault."""
    configs = [path.read_text(encoding="utf-8") for path in sorted(CONFIGS.rglob("*.yaml"))]
    return [*configs[:: max(len(configs) // 12, 1)], TIMELINE, TIMELINE, CARD, CARD]


def yaml_text(rng: random.Random, text: str | None = None) -> bytes:
    """A YAML file with damage in its structure, its text, or of a kind that is known to hurt."""
    text = text or rng.choice(whole())
    how = rng.random()
    if how < 0.1:
        return text.encode()
    if how < 0.35:
        return (text + rng.choice(HOSTILE) if rng.random() < 0.5 else rng.choice(HOSTILE)).encode()
    if how < 0.45:
        return _bomb(rng)
    if how < 0.6:
        return mutated(text.encode(), rng)
    value = yaml.safe_load(text)
    for _ in range(rng.randint(1, 3)):
        value = changed(value, rng)
    try:
        return yaml.safe_dump(value, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, RecursionError, ValueError):
        return mutated(text.encode(), rng)


def _bomb(rng: random.Random) -> bytes:
    """Little text that would be much: aliases of aliases, merges of merges, depth, length."""
    levels = range(1, rng.choice((5, 25, 60)))
    return rng.choice(
        (
            lambda: "l0: &l0 [x, x]\n" + "".join(f"l{i}: &l{i} [*l{i - 1}, *l{i - 1}]\n" for i in levels),
            lambda: "l0: &l0 {a: 1}\n" + "".join(f"l{i}: &l{i} {{<<: [*l{i - 1}, *l{i - 1}]}}\n" for i in levels),
            lambda: "[" * rng.choice((60, 70, 2000, 100_000)),
            lambda: "{a: " * rng.choice((60, 70, 2000, 100_000)),
            lambda: "".join(f"k{i}: {i}\n" for i in range(rng.choice((10_000, 50_000, 200_000)))),
            lambda: "a: [" + "x," * rng.choice((10_000, 200_000, 2_000_000)) + "]",
            lambda: "a: '" + "x" * rng.choice((10_000, 10_000_000)) + "'",
        )
    )().encode()


def make(folder: Path, rng: random.Random) -> None:
    """A file whose name says what it is."""
    kind = rng.choice(("config", "resolved", "card", "timeline"))
    usual = {"card": CARD, "timeline": TIMELINE}.get(kind) if rng.random() < 0.8 else None
    (folder / f"{kind}.yaml").write_bytes(yaml_text(rng, usual))


def check(folder: Path) -> None:
    """Read it as what it is."""
    from aigenbench.config.layer import file_layer
    from aigenbench.config.resolved import ResolvedConfig
    from aigenbench.evaluation.leaderboard.submission import read_card
    from aigenbench.evaluation.report.seeds import recipe_of, seed_of
    from aigenbench.files import read_text
    from aigenbench.protocol.timeline import load_timeline

    (path,) = folder.iterdir()
    if path.stem == "config":
        file_layer(str(path))
    elif path.stem == "card":
        read_card(path)
    elif path.stem == "timeline":
        load_timeline(path)
    else:
        config = ResolvedConfig.from_file(path)
        assert config.to_yaml()
        _ = config.experiment_info
        recipe_of(read_text(path))
        seed_of(read_text(path))
