"""Which images are for training: by groups that stay together, and seeded; and a seeded part of a data set."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from aigenbench.curation.reading.entries import SPLITS, Entry

TRAIN, VALIDATION = SPLITS[:2]
VALIDATION_SHARE = 0.2
"""Of the published data set (protocol section 1)."""


def draw(seed: int, name: str) -> str:
    """A number for a name, as hexadecimal digits: what is drawn by it does not depend on what else there is."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def assign_splits(entries: Sequence[Entry], share: float, seed: int) -> int:
    """Give a split to every entry that has none; returns how many images the largest group holds.

    Images of one group (where that is said), else of one prompt or one file name without its suffix, and real images
    that a fake is paired with, go to one split: the one of theirs that is said, else the one drawn. In the order of
    their draws, groups are for validation as long as at least half of their images are still wanted there, so that of
    each generator, and of the reals, about ``share`` come to it.

    Args:
        entries: changed in place.
        share: of images for validation.
        seed: of the draws.
    """
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry, root in zip(entries, _roots(entries), strict=True):
        groups[root].append(entry)
    undecided = []
    for members in groups.values():
        said = {entry.split for entry in members} - {""}
        if said:
            chosen = min(said, key=SPLITS.index)
            for entry in members:
                entry.split = entry.split or chosen
        else:
            undecided.append((min(entry.file_id for entry in members), members))
    counts = Counter(entry.generator for _, members in undecided for entry in members)
    wanted = {generator: round(share * count) for generator, count in counts.items()}
    for _, members in sorted(undecided, key=lambda group: draw(seed, group[0])):
        held = Counter(entry.generator for entry in members)
        missing = sum(min(wanted[generator], count) for generator, count in held.items())
        chosen = VALIDATION if 2 * missing >= len(members) and missing else TRAIN
        for entry in members:
            entry.split = chosen
        if chosen == VALIDATION:
            for generator, count in held.items():
                wanted[generator] = max(wanted[generator] - count, 0)
    return max((len(members) for _, members in undecided), default=0)


def _roots(entries: Sequence[Entry]) -> list[str]:
    """What the entries of one group, and no others, have in common."""
    parent: dict[str, str] = {}

    def root(token: str) -> str:
        while parent.setdefault(token, token) != token:
            parent[token] = parent[parent[token]]
            token = parent[token]
        return token

    for entry in entries:
        for token in _tokens(entry):
            parent[root(token)] = root(f"id:{entry.file_id}")
    return [root(f"id:{entry.file_id}") for entry in entries]


def _tokens(entry: Entry) -> Iterator[str]:
    if entry.group:
        yield f"group:{entry.group}"
    else:
        if "positive_prompt" in entry.facts:
            yield f"prompt:{entry.facts['positive_prompt']}"
        if entry.place.kind in ("file", "zip", "tar"):
            yield f"stem:{entry.name.rpartition('.')[0] or entry.name}"
    for one in entry.facts.get("paired_real_images", ()):
        yield f"id:{one}"


def part_of(entries: Sequence[Entry], per_generator: int, seed: int) -> list[Entry]:
    """Of each split so many images of every generator, and as many reals as fakes: those with the least draws."""
    by_class: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        by_class[entry.split, entry.generator].append(entry)
    fakes = Counter(split for split, generator in by_class if generator)
    kept: set[str] = set()
    for (split, generator), members in by_class.items():
        count = per_generator if generator else per_generator * fakes[split]
        members.sort(key=lambda entry: draw(seed, entry.file_id))
        kept.update(entry.file_id for entry in members[:count])
    return [entry for entry in entries if entry.file_id in kept]
