"""One self-contained page about one or several experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aigenbench import __version__, files
from aigenbench.evaluation.drawing.chart import FEW
from aigenbench.evaluation.predictions.standing import standings
from aigenbench.evaluation.report.pages import environment, resource
from aigenbench.evaluation.report.together import Together, put_together
from aigenbench.evaluation.report.view import View
from aigenbench.evaluation.statistics.generators import FEWEST_GENERATORS


def render(views: Sequence[View], together: Together | None = None) -> str:
    """The page as HTML: nothing is loaded from elsewhere, and it reads without scripts."""
    runs = [view.run for view in views]
    several = len(views) > 1
    together = together or put_together(views)
    return (
        environment()
        .get_template("report.html")
        .render(
            title=runs[0].name if not several else "Detectors: " + ", ".join(model.name for model in together.models),
            standings=standings([(run.name, run.standing) for run in runs]),
            views=views,
            several=several,
            together=together,
            few=FEW,
            fewest_generators=FEWEST_GENERATORS,
            choices=[_choice(view.id, w.window) for view in views for w in view.windows],
            replicates=f"{runs[0].bounds['replicates']:,}",
            other_replicates=runs[0].bounds["other_replicates"],
            style=resource("style.css"),
            script=resource("script.js"),
            version=__version__,
        )
    )


def write_report(path: Path | str, views: Sequence[View], together: Together | None = None) -> None:
    """Write the page to ``path``."""
    files.write_text(path, render(views, together))


def _choice(view: str, window: int) -> str:
    # a style sheet shows the chosen window's panel, so choosing works without scripts
    chosen = f"#{view}-w{window}:checked ~"
    return (
        f"{chosen} .panel.w{window} {{ display: block; }} {chosen} .pills label.w{window} "
        "{ background: var(--accent); border-color: var(--accent); color: var(--paper); } "
        f"#{view}-w{window}:focus-visible ~ .pills label.w{window} {{ outline: 2px solid; outline-offset: 2px; }}"
    )
