"""How well fakes are told from reals without looking at a pixel: by format, size, JPEG tables and EXIF alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from aigenbench.curation.audit.looking import Looks
from aigenbench.evaluation.metrics.definitions import auroc
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.statistics.intervals import LEVEL, Bounds, bounds, delong

FOLDS = 5
SEED = 0


@dataclass(frozen=True)
class Told:
    """How well something is told from reals.

    Attributes:
        auroc: of the classifier on images that it was not fitted on; 0.5 where formats say nothing.
        interval: DeLong's 95 % interval.
        fakes: how many fakes it was measured on.
        is_certain: whether there are enough of them, and the interval lies above chance, even if it is widened so that
            those of all generators hold together.
    """

    auroc: float
    interval: Bounds
    fakes: int
    is_certain: bool


@dataclass(frozen=True)
class FormatBias:
    """How well the container alone gives fakes away.

    Attributes:
        overall: all fakes against all reals.
        generators: each generator's fakes against all reals, by name.
    """

    overall: Told
    generators: Mapping[str, Told]


def format_features(looks: Looks) -> npt.NDArray[np.float64]:
    """What is known of every file without its pixels, float64 (n, features)."""
    forms = np.unique(looks.form)
    pixels = np.maximum(looks.height * looks.width, 1)
    return np.column_stack(
        [
            *(looks.form == form for form in forms),
            looks.table,
            looks.subsampling,
            looks.exif,
            looks.height,
            looks.width,
            np.log(pixels),
            np.log(np.maximum(looks.width, 1) / np.maximum(looks.height, 1)),
            looks.height % 8 == 0,
            looks.width % 8 == 0,
            looks.size / pixels,
        ]
    ).astype(np.float64)


def format_bias(looks: Looks, generators: Sequence[str]) -> FormatBias | None:
    """Measure it by cross-validation, seeded; None where a class has too few readable images to be cut in folds.

    Args:
        looks: of one split.
        generators: generator name of every image, "" for a real.
    """
    names = np.array(generators, dtype=object)[looks.readable]
    fakes = names != ""
    if min(int(fakes.sum()), int((~fakes).sum())) < 2 * FOLDS:
        return None
    classifier = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, min_samples_leaf=10, random_state=SEED)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    features = format_features(looks)[looks.readable]
    scores = cross_val_predict(classifier, features, fakes, cv=folds, method="predict_proba")[:, 1]
    generators = sorted(set(names.tolist()) - {""})
    of_generators = {name: _told(scores, fakes, ~fakes | (names == name), len(generators)) for name in generators}
    return FormatBias(_told(scores, fakes, np.ones(len(fakes), dtype=bool)), of_generators)


def _told(
    scores: npt.NDArray[np.float64], fakes: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_], several: int = 1
) -> Told:
    """Of the chosen images, as one of so many groups."""
    group = Group.of(scores[chosen], fakes[chosen].astype(np.int64))
    joint = delong(group, 1 - (1 - LEVEL) / several)
    is_certain = group.n_fakes >= 2 * FOLDS and joint[0] > 0.5
    return Told(auroc(group), bounds(delong(group)), group.n_fakes, is_certain)
