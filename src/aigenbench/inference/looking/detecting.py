"""Pictures through an exported detector, one after the other, with what else is asked about each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.data.pictures.decode import Pixels, UnreadableImageError, decode
from aigenbench.data.pictures.finding import shown
from aigenbench.data.pictures.given import file_of
from aigenbench.inference.looking import explain, forms, grouping, metadata, stability
from aigenbench.inference.looking.stability import When

if TYPE_CHECKING:
    from aigenbench.inference.detector import Answer, Detector

TOO_LARGE = f"more than {forms.MOST_PIXELS:,} pixels: no stability, no map"


@dataclass(frozen=True)
class Asked:
    """What is asked about each picture beside its score.

    Attributes:
        metadata: what the file says of itself.
        stability: of which pictures it is tried whether the answer stays in other forms.
        group: which files show one picture.
        explain: a folder for a map of each picture; None for none.
    """

    metadata: bool = False
    stability: When = "off"
    group: bool = False
    explain: Path | None = None


@dataclass(frozen=True)
class Result:
    """What there is to say of one picture.

    Attributes:
        answer: the detector's.
        facts: what the file says of itself; None where that is not asked.
        stability: None where that is not asked, or the picture is not inside the band.
        map: the file with its map, or None.
        print: what it is recognised by; None where that is not asked or it cannot be read.
        note: why something that was asked is left out; "" where nothing is.
        group: number of its group, from 1 on, and the group, once all are known; None where it stands alone.
    """

    answer: Answer
    facts: list[metadata.Fact] | None = None
    stability: stability.Stability | None = None
    map: Path | None = None
    print: grouping.Print | None = None
    note: str = ""
    group: tuple[int, grouping.Group] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON holds it; what was not asked is left out, what there is not is null."""
        answer, verdict = self.answer, self.answer.verdict
        height, width = answer.size or (None, None)
        record: dict[str, Any] = {
            "image": answer.name,
            "error": answer.error,
            "verdict": verdict and verdict.word,
            "error_rate": verdict and verdict.rate,
            "error_rate_interval": verdict and verdict.interval,
            "measured_on": verdict and verdict.period,
            "probability": answer.probability,
            "score": answer.score,
            "logit": answer.logit,
            "crop_logits": list(answer.crop_logits),
            "height": height,
            "width": width,
        }
        if self.facts is not None:
            record["file_says"] = [fact.to_dict() for fact in self.facts]
        if self.stability is not None:
            record["stability"] = self.stability.to_dict()
        if self.map is not None:
            record["map"] = shown(self.map)
        if self.note:
            record["note"] = self.note
        if self.group is not None:
            number, group = self.group
            record["group"] = {
                "number": number,
                "pictures": len(group.members),
                "verdict": group.verdict.word,
                "probability": group.probability,
                "logit": group.logit,
            }
        return record


def detect(detector: Detector, paths: Sequence[Path], asked: Asked = Asked()) -> Iterator[Result]:
    """Score pictures as they are, in order; one that cannot be read is a result with an error.

    Nothing of the benchmark's degradations is done to them. Results come as they are known, groups aside: see
    ``with_groups``.

    Args:
        detector: an exported detector.
        paths: of files.
        asked: what else to say of each.
    """
    names = [shown(path) for path in paths]
    # whole ones, as a user's own may begin with ~
    files = [path.absolute() for path in paths]
    # what is read twice is read from the system's cache; a file that is gone by then lacks what else is asked
    for number, answer in enumerate(detector.answers(files, names)):
        yield _with_more(detector, files[number], Result(answer), asked, number + 1)


def _with_more(detector: Detector, path: Path, result: Result, asked: Asked, number: int) -> Result:
    verdict = result.answer.verdict
    again = verdict is not None and stability.is_wanted(asked.stability, verdict)
    if not (again or asked.metadata or asked.group or asked.explain):
        return result
    data = _read(path)
    if asked.metadata:
        result = replace(result, facts=metadata.read(data))
    pixels = _decoded(data) if verdict is not None and (again or asked.group or asked.explain) else None
    if pixels is None:
        return result
    if asked.group:
        result = replace(result, print=grouping.fingerprint(data, pixels))
    if forms.is_too_large(pixels):
        return replace(result, note=TOO_LARGE) if again or asked.explain else result
    if again:
        result = replace(result, stability=stability.tried(detector, pixels))
    if asked.explain:
        drawn = asked.explain / f"{number:04d}_{_plain(path.stem)}.png"
        explain.write_overlay(drawn, pixels, explain.heat(detector, pixels))
        result = replace(result, map=drawn)
    return result


def with_groups(detector: Detector, results: Sequence[Result]) -> list[Result]:
    """The same results, each with the group of files that show its picture, if there are others.

    Args:
        detector: that gave them.
        results: of ``detect``, asked for groups.
    """
    known = [place for place, result in enumerate(results) if result.print is not None]
    prints = [result.print for result in results if result.print is not None]
    logits = [result.answer.logit for result in results if result.print is not None]
    with_group = list(results)
    for number, group in enumerate(grouping.grouped(detector, prints, logits), 1):  # type: ignore[arg-type]
        for member in group.members:
            with_group[known[member]] = replace(results[known[member]], group=(number, group))
    return with_group


def _read(path: Path) -> bytes:
    try:
        return file_of(path)
    except OSError:
        return b""


def _decoded(data: bytes) -> Pixels | None:
    try:
        return decode(data)
    except UnreadableImageError:
        return None


def _plain(stem: str) -> str:
    """A name that any file system takes."""
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in stem)[:60]
