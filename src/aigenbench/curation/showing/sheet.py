"""A contact sheet as a picture (PNG) or a page (HTML, self-contained)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont

from aigenbench import __version__, files
from aigenbench.curation.showing.tiles import Shown, Tile
from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.mistakes import data_url
from aigenbench.evaluation.report.pages import resource

SIDE = 224
"""Pixels a side that a tile has at most: what models see is most often shown pixel for pixel."""
SUFFIXES = (".png", ".html")

_GAP, _LINE, _TEXT = 12, 18, 13
_PAPER, _INK, _SOFT = "#ffffff", "#1b222a", "#4c5762"


class Sheet(NamedTuple):
    """A contact sheet: a title, a line about what it shows, and the images."""

    title: str
    about: str
    images: Sequence[Shown]


def check_suffix(path: Path) -> None:
    """Refuse a file that would be neither PNG nor HTML.

    Raises:
        InputError: its suffix is another.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")


def write_sheet(path: Path, sheet: Sheet) -> None:
    """Write a sheet, whole or not at all, in the form that its suffix says."""
    if path.suffix.lower() == ".html":
        files.write_text(path, _page(sheet))
        return
    with files.whole_file(path) as temporary:
        _picture(sheet).save(temporary, "PNG")


def fitted(tile: Tile) -> Image.Image:
    """A tile as it is shown: made smaller where it is larger than ``SIDE``, never larger."""
    image = Image.fromarray(tile.pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


def caption(image: Shown) -> str:
    """What is told of an image above its tiles."""
    size = f"{image.tiles[0].pixels.shape[1]} x {image.tiles[0].pixels.shape[0]}" if image.tiles else ""
    return ", ".join(part for part in (f"row {image.row}", image.generator, size, image.name) if part)


def _page(sheet: Sheet) -> str:
    place = PackageLoader("aigenbench.curation.showing", "")
    made = Environment(loader=place, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    shown = [(caption(image), image.trouble, [_figure(tile) for tile in image.tiles]) for image in sheet.images]
    return made.get_template("sheet.html").render(
        sheet=sheet, shown=shown, style=resource("style.css"), version=__version__
    )


def _figure(tile: Tile) -> tuple[str, tuple[int, int], Markup]:
    image, buffer = fitted(tile), io.BytesIO()
    image.save(buffer, "PNG")
    return tile.title, image.size, Markup(data_url("png", buffer.getvalue()))


def _picture(sheet: Sheet) -> Image.Image:
    most = max((len(image.tiles) for image in sheet.images), default=1)
    lines = [[fitted(tile) for tile in image.tiles] for image in sheet.images]
    heights = [2 * _LINE + max((one.height for one in line), default=0) + 2 * _GAP for line in lines]
    width = _GAP + max(3, most) * (SIDE + _GAP)
    drawn = Image.new("RGB", (width, 2 * _LINE + 2 * _GAP + sum(heights)), _PAPER)
    draw = ImageDraw.Draw(drawn)
    _write(draw, (_GAP, _GAP), sheet.title, width - 2 * _GAP, _INK)
    _write(draw, (_GAP, _GAP + _LINE), sheet.about, width - 2 * _GAP, _SOFT)
    top = 2 * _LINE + 2 * _GAP
    for image, line, height in zip(sheet.images, lines, heights, strict=True):
        _write(draw, (_GAP, top), caption(image), width - 2 * _GAP, _INK)
        _write(draw, (_GAP, top + _LINE), image.trouble, width - 2 * _GAP, _SOFT)
        for k, (tile, small) in enumerate(zip(image.tiles, line, strict=True)):
            left = _GAP + k * (SIDE + _GAP)
            _write(draw, (left, top + _LINE), tile.title, SIDE, _SOFT)
            drawn.paste(small, (left, top + 2 * _LINE))
        top += height
    return drawn


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, room: int, colour: str) -> None:
    """Write a line, cut where its room ends."""
    font = ImageFont.load_default(_TEXT)
    # the built-in font has the letters of western Europe alone
    text = text.encode("latin-1", "replace").decode("latin-1")
    if font.getlength(text) > room:
        while text and font.getlength(text + "...") > room:
            text = text[:-1]
        text += "..."
    draw.text(place, text, fill=colour, font=font)
