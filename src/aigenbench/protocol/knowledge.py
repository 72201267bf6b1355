"""What a detector that no run of the protocol has trained is said to have seen."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from aigenbench.errors import InputError, nearest
from aigenbench.protocol.timeline import Timeline

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Knowledge:
    """What is known of a detector's training; where neither is, nothing is, and nothing is taken to be unseen.

    Attributes:
        until: what was released up to this day may have been seen.
        trained_on: names of the generators it was trained on.
    """

    until: date | None = None
    trained_on: tuple[str, ...] | None = None

    @property
    def said(self) -> str:
        """In a few words, as results keep it."""
        if self.trained_on is not None:
            more = f" and {len(self.trained_on) - 4} more" if len(self.trained_on) > 4 else ""
            return f"trained on {', '.join(self.trained_on[:4]) or 'no generator of the timeline'}{more}"
        return UNKNOWN if self.until is None else f"may know what was released until {self.until.isoformat()}"

    def seen(self, timeline: Timeline) -> tuple[str, ...] | None:
        """Which generators of ``timeline`` count as seen, in its order; None where nobody says."""
        if self.trained_on is not None:
            return tuple(name for name in timeline.names if name in self.trained_on)
        if self.until is None:
            return None
        return tuple(g.name for g in timeline.generators if g.released <= self.until)


def known_until(text: str) -> Knowledge:
    """The knowledge that ends with a day, or with the last day of a month or year: ``2023-05``.

    Raises:
        InputError: it is no date.
    """
    found = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", text.strip())
    try:
        if found is None:
            raise ValueError
        year, month = int(found[1]), int(found[2] or 12)
        day = int(found[3]) if found[3] else calendar.monthrange(year, month)[1]
        return Knowledge(until=date(year, month, day))
    except ValueError:
        raise InputError(f"--knows-until: expected YYYY, YYYY-MM or YYYY-MM-DD, found {text!r}") from None


def known_generators(names: Sequence[str], timeline: Timeline) -> Knowledge:
    """The knowledge of these generators.

    Raises:
        InputError: a name is not on the timeline: misspelt, a generator that was seen would count as unseen.
    """
    for name in names:
        if name not in timeline.dates:
            raise InputError(
                f"--trained-on: no generator {name!r} on the timeline{nearest(name, timeline.names)}; name those that "
                "are on it, and leave out the others"
            )
    return Knowledge(trained_on=tuple(dict.fromkeys(names)))
