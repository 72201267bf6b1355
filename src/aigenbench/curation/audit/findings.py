"""What an audit finds: each kind with its images, and whether results on such data can be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aigenbench.curation.audit.bias import FormatBias, Told
from aigenbench.curation.audit.looking import Looks
from aigenbench.curation.inspection import Progress
from aigenbench.data.pictures.hashing import same_pictures
from aigenbench.protocol.published import MOST_PIXELS, SHORTEST_SIDE

Image = tuple[str, int]
"""An image: its split and its row in it."""
Weight = Literal["error", "warning"]

BIASED = 0.6
"""AUROC of the classifier without pixels from which on a detector may learn the format instead of the picture."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a short name, for programs.
        weight: ``error`` where results on such data mislead, ``warning`` where they may.
        text: one sentence.
        images: the images concerned, each group of those that belong together.
    """

    kind: str
    weight: Weight
    text: str
    images: tuple[tuple[Image, ...], ...] = ()


@dataclass(frozen=True)
class Known:
    """What is known of the images without looking at them.

    Attributes:
        generators: by split, the generator name of every row, "" for a real.
        windows: index of the window of every generator on the timeline.
        names: by split, the ``file_id`` of every row, or "".
    """

    generators: Mapping[str, Sequence[str]]
    windows: Mapping[str, int]
    names: Mapping[str, Sequence[str]]

    def generator(self, image: Image) -> str:
        """Of an image."""
        return self.generators[image[0]][image[1]]


def all_findings(
    looks: Sequence[Looks],
    known: Known,
    bias: FormatBias | None,
    foreign: Mapping[str, Foreign],
    progress: Progress,
) -> list[Finding]:
    """Everything that is wrong, what is worst first.

    Args:
        looks: of every split.
        known: of its images.
        bias: what the format alone gives away.
        foreign: other training sets by name, see `Foreign`.
        progress: as of ``audit``.
    """
    groups = _same_pictures(looks, progress)
    found = [
        *_unusable(looks),
        *_doubles(groups, known),
        *_same_names(known),
        *_biased(bias),
        *_contaminated(looks, known, foreign),
    ]
    return sorted(found, key=lambda one: one.weight != "error")


def _same_pictures(looks: Sequence[Looks], progress: Progress) -> list[tuple[Image, ...]]:
    """Images that are one picture: byte for byte, or stored again or resized; of those that decode."""
    places = [(of.split, row) for of in looks for row in range(len(of))]
    rows = np.flatnonzero(np.concatenate([of.readable for of in looks]))
    groups = same_pictures(
        np.concatenate([of.sha256 for of in looks])[rows],
        np.concatenate([of.hashes for of in looks])[rows],
        np.concatenate([of.small for of in looks])[rows],
        np.concatenate([of.telling for of in looks])[rows],
        lambda done, total: progress("comparing hashes", done, total),
    )
    return sorted(tuple(sorted(places[rows[place]] for place in group)) for group in groups)


def _unusable(looks: Sequence[Looks]) -> Iterator[Finding]:
    faults = [((of.split, row),) for of in looks for row in of.faults]
    if faults:
        first = looks[[of.split for of in looks].index(faults[0][0][0])].faults[faults[0][0][1]]
        yield Finding("unreadable", "error", f"{_images(faults)} that cannot be decoded ({first})", tuple(faults))
    tiny, huge = [], []
    for of in looks:
        side, pixels = np.minimum(of.height, of.width), of.height * of.width
        tiny += [((of.split, int(row)),) for row in np.flatnonzero(of.readable & (side < SHORTEST_SIDE))]
        huge += [((of.split, int(row)),) for row in np.flatnonzero(of.readable & (pixels > MOST_PIXELS))]
    if tiny:
        yield Finding("tiny", "warning", f"{_images(tiny)} with a side under {SHORTEST_SIDE} pixels", tuple(tiny))
    if huge:
        yield Finding("huge", "warning", f"{_images(huge)} of over {MOST_PIXELS:,} pixels", tuple(huge))


def _doubles(groups: Sequence[tuple[Image, ...]], known: Known) -> Iterator[Finding]:
    """The groups by what is worst about them."""
    sorted_by: dict[str, list[tuple[Image, ...]]] = defaultdict(list)
    for group in groups:
        generators = {known.generator(one) for one in group}
        windows = {known.windows.get(name) for name in generators if name}
        if "" in generators and len(generators) > 1:
            kind = "contradiction"
        elif len({split for split, _ in group}) > 1:
            kind = "leak_splits"
        elif len(windows) > 1:
            kind = "leak_windows"
        else:
            kind = "duplicate"
        sorted_by[kind].append(group)
    texts: dict[str, tuple[Weight, str]] = {
        "contradiction": ("error", "labelled both real and fake"),
        "leak_splits": ("error", "in training and evaluation alike: not unseen when evaluated"),
        "leak_windows": ("error", "under generators of several windows: trained on before they come next"),
        "duplicate": ("warning", "more than once in a split"),
    }
    for kind, (weight, text) in texts.items():
        if chosen := sorted_by.get(kind):
            yield Finding(kind, weight, f"{_images(chosen, 'picture')} {text}", tuple(chosen))


def _same_names(known: Known) -> Iterator[Finding]:
    """Names that several images of a split have."""
    rows: dict[tuple[str, str], list[Image]] = defaultdict(list)
    for split, names in known.names.items():
        for row, name in enumerate(names):
            if name:
                rows[split, name].append((split, row))
    groups = tuple(tuple(images) for images in rows.values() if len(images) > 1)
    if groups:
        text = f"{_images(groups, 'file_id')} of several images: results of runs cannot be paired by image"
        yield Finding("same_name", "warning", text, groups)


def _biased(bias: FormatBias | None) -> Iterator[Finding]:
    if bias is None:
        return
    if _gives_away(bias.overall):
        yield Finding(
            "format_bias",
            "warning",
            f"container, compression and size alone tell fakes from reals: AUROC {bias.overall.auroc:.3f}; a detector "
            "may learn the format instead of the picture",
        )
        return
    worst = [
        f"{name} {told.auroc:.3f}"
        for name, told in sorted(bias.generators.items(), key=lambda item: -item[1].auroc)
        if _gives_away(told)
    ]
    if worst:
        more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
        yield Finding("format_bias", "warning", f"the format alone gives away {', '.join(worst[:3])}{more} (AUROC)")


def _gives_away(told: Told) -> bool:
    return told.is_certain and told.auroc >= BIASED


@dataclass(frozen=True)
class Foreign:
    """The images of another training set, as far as its list names them.

    Attributes:
        names: file ids.
        sha256: hexadecimal digests of files.
        hashes: perceptual hashes.
    """

    names: frozenset[str] = frozenset()
    sha256: frozenset[str] = frozenset()
    hashes: frozenset[int] = frozenset()


def _contaminated(looks: Sequence[Looks], known: Known, foreign: Mapping[str, Foreign]) -> Iterator[Finding]:
    for name, listed in foreign.items():
        shared = [
            ((of.split, row),)
            for of in looks
            for row in range(len(of))
            if known.names[of.split][row] in listed.names
            or bytes(of.sha256[row]).ljust(32, b"\0").hex() in listed.sha256
            or int(of.hashes[row]) in listed.hashes
        ]
        if shared:
            text = f"{_images(shared)} in {name}: seen by a detector trained on that"
            yield Finding("contamination", "error", text, tuple(shared))


def _images(groups: Sequence[tuple[Image, ...]], what: str = "image") -> str:
    return f"{len(groups):,} {what}{'s' if len(groups) != 1 else ''}"
