"""An audit as one page with pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from aigenbench import __version__, files
from aigenbench.curation.audit.auditing import Audit
from aigenbench.curation.audit.findings import Image
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.evaluation.metrics.mistakes import data_url, shrink
from aigenbench.evaluation.report.pages import resource
from aigenbench.evaluation.statistics.intervals import interval_text
from aigenbench.protocol.published import FAKES

SHOWN_GROUPS, SHOWN_IMAGES = 12, 4
"""How many groups of a finding are shown, and images of each."""


def write_page(path: Path, audit: Audit) -> None:
    """Write the page, whole or not at all."""
    files.write_text(
        path,
        _template().render(
            audit=audit,
            name=audit.source.path.resolve().name,
            shown=[
                (
                    finding,
                    [
                        [_shown(audit, image) for image in _unlike_first(audit, group)[:SHOWN_IMAGES]]
                        for group in finding.images[:SHOWN_GROUPS]
                    ],
                )
                for finding in audit.findings
            ],
            more={finding.kind: len(finding.images) - SHOWN_GROUPS for finding in audit.findings},
            published=FAKES,
            generators=sorted({name for of in audit.counts.values() for name in of if name}),
            style=resource("style.css"),
            version=__version__,
        ),
    )


@cache
def _template() -> Template:
    place = PackageLoader("aigenbench.curation.audit", "")
    made = Environment(loader=place, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters["bracket"] = interval_text
    return made.get_template("audit.html")


def _unlike_first(audit: Audit, group: Sequence[Image]) -> list[Image]:
    """A group's images, those of another split or generator before further ones of the same."""
    times: Counter[tuple[str, int]] = Counter()
    turns = {}
    for split, row in group:
        of = split, int(audit.source.splits[split].generator_codes[row])
        turns[split, row] = times[of]
        times[of] += 1
    return sorted(group, key=lambda image: turns[image])


def _shown(audit: Audit, image: Image) -> tuple[str, str, Markup | None]:
    """What an image is, where it stands, and a small copy of it."""
    split, row = image
    table = audit.source.splits[split]
    generator = table.generator_names[table.generator_codes[row]] or "real"
    try:
        small = shrink(decode(table.store.read(row)))
    except (UnreadableImageError, OSError):
        return generator, f"{split} {row}", None
    return generator, f"{split} {row}", Markup(data_url("jpeg", small))
