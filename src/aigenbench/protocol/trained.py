"""What weights were trained on, and how the generators of a data set stand to it (protocol section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from aigenbench.errors import InputError
from aigenbench.protocol.off_protocol import gathered
from aigenbench.protocol.timeline import PUBLISHED, Generator, Timeline, make_timeline

Windows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Standing:
    """How the generators of a data set stand to weights.

    Attributes:
        coming: the Next period: of the unseen ones released later than all that was seen, those of the window that
            would be trained next; all of them where the data set holds none of that window.
        earlier: unseen, though released no later than the newest that was seen; they belong to no period.
    """

    coming: tuple[str, ...]
    earlier: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """What weights were trained on.

    Attributes:
        windows: generator names of the windows trained on, in order; the last one is the window trained last.
        following: generator names of the window that the same run trains next; none after its last.
        dates: release date of every generator of the training's timeline.
        id_to_name: names by generator id, as the training counted them: the classes of a multiclass detector.
        images: ``training_fingerprint`` of the window trained last; None where nobody says.
        off_protocol: why the training is off protocol; none where it is not.
    """

    windows: Windows
    following: tuple[str, ...]
    dates: Mapping[str, date]
    id_to_name: tuple[str, ...]
    images: str | None = None
    off_protocol: tuple[str, ...] = ()

    @property
    def generators(self) -> tuple[str, ...]:
        """Names of all generators trained on, in order."""
        return tuple(name for names in self.windows for name in names)

    @property
    def ids(self) -> tuple[int, ...]:
        """Their ids, as the training counted them."""
        names = set(self.generators)
        return tuple(i for i, name in enumerate(self.id_to_name) if name in names)

    @property
    def timeline(self) -> Timeline:
        """The generators of the training's data set, whose ids are as the training counted them."""
        known = [Generator(name, self.dates[name]) for name in self.id_to_name if name in self.dates]
        return make_timeline(known, (g.name for g in known if g.name not in PUBLISHED.ids))

    def after(self, earlier: Trained | None) -> Trained:
        """The same for weights that were trained on ``earlier`` before; what that adds stands first."""
        if earlier is None:
            return self
        own = set(self.generators)
        more = tuple(name for name in earlier.generators if name not in own)
        same = replace(self, off_protocol=gathered(earlier.off_protocol, self.off_protocol))
        if not more:
            return same
        return replace(same, windows=(more, *self.windows), dates={**earlier.dates, **self.dates})

    def standing(self, timeline: Timeline) -> Standing:
        """How the generators of ``timeline`` stand to these weights."""
        seen = set(self.generators)
        known = [day for name in seen if (day := self.dates.get(name) or timeline.dates.get(name)) is not None]
        newest = max(known, default=date.min)
        unseen = [g for g in timeline.generators if g.name not in seen]
        later = tuple(g.name for g in unseen if g.released > newest)
        holds_next_window = any(name in timeline.ids for name in self.following)
        coming = tuple(name for name in later if name in self.following) if holds_next_window else later
        return Standing(coming, tuple(g.name for g in unseen if g.released <= newest))

    def to_record(self) -> dict[str, Any]:
        """Plain values only, for checkpoints."""
        return {
            "windows": [list(names) for names in self.windows],
            "following": list(self.following),
            "dates": {name: day.isoformat() for name, day in self.dates.items()},
            "generator_id_to_name": list(self.id_to_name),
            **({"training_fingerprint": self.images} if self.images else {}),
            **({"off_protocol": list(self.off_protocol)} if self.off_protocol else {}),
        }

    @classmethod
    def from_record(cls, record: Any, where: str) -> Trained:
        """Read what ``to_record`` gave.

        Raises:
            InputError: it is of another form; ``where`` names the file.
        """
        try:
            return cls(
                tuple(tuple(map(str, names)) for names in record["windows"]),
                tuple(map(str, record["following"])),
                {str(name): date.fromisoformat(day) for name, day in record["dates"].items()},
                tuple(map(str, record["generator_id_to_name"])),
                str(images) if (images := record.get("training_fingerprint")) else None,
                tuple(map(str, record.get("off_protocol", ()))),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: what it says of its training is damaged ({error!r})") from error


def trained_up_to(timeline: Timeline, windows: Windows, window: int) -> Trained:
    """What the weights of window ``window`` of a run over ``windows`` were trained on."""
    following = windows[window + 1] if window + 1 < len(windows) else ()
    return Trained(windows[: window + 1], following, timeline.dates, timeline.id_to_name)
