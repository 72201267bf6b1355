"""Whether intervals cover the truth as often as they say: a tenth of it in CI, all of it by hand."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from evaluation_made_up import made_up
from scipy.stats import binom

from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import assemble
from aigenbench.evaluation.statistics.bootstrap import bootstrap_auroc
from aigenbench.evaluation.statistics.intervals import delong, percentiles

PAIRS = 250
WINDOWS = (("A", "B", "C", "D"), ("E", "F", "G", "H"))


@pytest.mark.parametrize(
    "detectors", [pytest.param(40, marks=pytest.mark.slow), pytest.param(400, marks=pytest.mark.campaign)]
)
def test_intervals_cover_at_their_nominal_rate(detectors: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(7)
    base = made_up(PAIRS, WINDOWS)
    covered = {"bootstrap": 0, "delong": 0}
    for area in np.linspace(0.6, 0.99, detectors):
        # two unit normals d apart have AUROC phi(d / sqrt 2)
        distance = NormalDist().inv_cdf(area) * 2**0.5
        logits = (rng.normal(size=len(base)) + distance * base.fused_labels).astype(np.float32)
        p = replace(base, fused_logits=logits, crop_logits=logits)
        e = assemble("e", "validate", {0: p}, "e")
        found = {
            "bootstrap": percentiles(bootstrap_auroc(e, 2000, periods=("immediate_future",)).headline),
            "delong": delong(WindowGroups(p).period("immediate_future", 0)),
        }
        for name, (low, high) in found.items():
            covered[name] += int(low <= area <= high)
    low, high = binom.interval(0.95, detectors, 0.95)
    with capsys.disabled():
        print(f"\ncovered of {detectors}, band {low:.0f}..{high:.0f}: {covered}")  # noqa: T201
    assert low <= covered["bootstrap"] <= high
    assert low <= covered["delong"] <= high
