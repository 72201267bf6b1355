"""The page, as HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from aigenbench import __version__
from aigenbench.evaluation.statistics.intervals import interval_text
from aigenbench.inference.serve.uploads import MOST_IMAGES

Described = Sequence[dict[str, Any]]


def page(detectors: Described, most_bytes: int, answers: Described, error: str = "") -> str:
    """The whole page.

    Args:
        detectors: as ``GET /api/detectors`` gives them.
        most_bytes: of an upload.
        answers: as ``POST /api/detect`` gives them; none where nothing was uploaded.
        error: why nothing was answered.
    """
    return (
        _environment()
        .get_template("page.html")
        .render(
            detectors=detectors,
            by_id=_by_id(detectors),
            most_bytes=most_bytes,
            most_images=MOST_IMAGES,
            answers=answers,
            error=error,
            version=__version__,
        )
    )


def results(detectors: Described, answers: Described) -> str:
    """The part of the page about uploaded pictures: an article each."""
    return _environment().get_template("results.html").render(answers=answers, by_id=_by_id(detectors))


def _by_id(detectors: Described) -> dict[str, dict[str, Any]]:
    return {detector["id"]: detector for detector in detectors}


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("aigenbench.inference.serve"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters |= {"percent": percent, "interval": interval_text}
    return made


def percent(share: float) -> str:
    """A share as people read it; what is not certain is never rounded to 0 % or 100 %.

    >>> percent(0.934), percent(0.9999), percent(0.013)
    ('93 %', 'over 99.9 %', '1.3 %')
    """
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    digits = 1 if min(share, 1 - share) < 0.1 and not math.isclose(share * 100, round(share * 100)) else 0
    return f"{100 * share:.{digits}f} %"
