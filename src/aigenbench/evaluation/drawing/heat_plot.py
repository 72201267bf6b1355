"""A heat map as a figure fit for a paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aigenbench.evaluation.drawing.chart import Table
from aigenbench.evaluation.drawing.plots import figure, save_figure


def draw_heat(table: Table, *paths: Path) -> None:
    """Draw the shaded cells of a table and write it to each of ``paths``, whose endings name the formats.

    Numbers of cells that are not emphasised (generators not yet trained on) are in italics, as on the page.

    Raises:
        InputError: see `save_figure`.
    """
    columns = [i for i in range(len(table.header)) if any(row[i].shade is not None for row in table.rows)]
    shades = np.array(
        [[np.nan if row[i].shade is None else row[i].shade for i in columns] for row in table.rows], dtype=np.float64
    ).reshape(len(table.rows), len(columns))
    with figure(3.6 + 0.5 * len(columns), 1.0 + 0.21 * len(table.rows)) as (drawn, axes):
        # pale ends, so that the numbers stay legible; 50 % is white
        picture = axes.imshow(50 + 50 * shades, cmap="RdBu", vmin=-60, vmax=160, aspect="auto")
        bar = drawn.colorbar(picture, ax=axes, boundaries=np.linspace(0, 100, 101), ticks=[0, 25, 50, 75, 100])
        bar.ax.tick_params(labelsize=7)
        bar.set_label("AUROC (%); chance is 50", fontsize=7.5)
        for y, row in enumerate(table.rows):
            for x, i in enumerate(columns):
                style = "normal" if row[i].strong else "italic"
                axes.text(x, y, row[i].text, ha="center", va="center", fontsize=6.5, fontstyle=style)
        axes.set_xticks(range(len(columns)), [table.header[i] for i in columns], fontsize=7.5)
        names = [f"{row[0].text} (n = {row[2].text})" for row in table.rows]
        axes.set_yticks(range(len(table.rows)), names, fontsize=7.5)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_title(table.title, fontsize=9)
        for path in paths:
            save_figure(drawn, path)
