"""Results as people and programs read them: a table, JSON lines, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from aigenbench.data.pictures.finding import shown
from aigenbench.inference.looking.detecting import Result
from aigenbench.inference.looking.explain import WHAT_IT_IS_NOT
from aigenbench.inference.looking.metadata import NOT_VERIFIED

FORMATS = ("table", "jsonl", "csv")

COLUMNS = (
    "image",
    "verdict",
    "error_rate",
    "error_rate_low",
    "error_rate_high",
    "measured_on",
    "probability",
    "score",
    "logit",
    "crop_logits",
    "height",
    "width",
    "file_says",
    "stability_low",
    "stability_high",
    "stability",
    "map",
    "note",
    "group",
    "group_verdict",
    "group_probability",
    "error",
)
"""Of the CSV form; what was not asked is empty."""


def lines(results: Iterable[Result], form: str) -> Iterator[str]:
    """The lines of a form, each as soon as its picture is known."""
    if form == "jsonl":
        for result in results:
            yield json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False)
    elif form == "csv":
        yield _csv_line(COLUMNS)
        for result in results:
            yield _csv_line(_cells(result))
    else:
        yield from _table(results)


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _cells(result: Result) -> list[object]:
    record = result.to_dict()
    low, high = record.pop("error_rate_interval") or (None, None)
    tried, group = record.get("stability") or {}, record.get("group") or {}
    record |= {
        "error_rate_low": low,
        "error_rate_high": high,
        "crop_logits": " ".join(f"{logit:.6g}" for logit in record["crop_logits"]),
        "file_says": "; ".join(f"{fact.where} {fact.key}: {fact.value}" for fact in result.facts or ()),
        "stability_low": tried.get("lowest"),
        "stability_high": tried.get("highest"),
        "stability": tried.get("said"),
        "group": group.get("number"),
        "group_verdict": group.get("verdict"),
        "group_probability": group.get("probability"),
    }
    return [record.get(column) for column in COLUMNS]


def _table(results: Iterable[Result]) -> Iterator[str]:
    yield f"{'verdict':<10}{'probability':>11}{'logit':>9}  picture"
    counts: Counter[str] = Counter()
    meanings: dict[str, str] = {}
    notes: dict[str, None] = {}
    for result in results:
        answer = result.answer
        if answer.verdict is None:
            counts["could not be read"] += 1
            yield f"{'error':<10}{'-':>11}{'-':>9}  {answer.name}: {answer.error}"
        else:
            counts[answer.verdict.word] += 1
            meanings.setdefault(answer.verdict.word, answer.verdict.said)
            yield f"{answer.verdict.word:<10}{answer.probability:>11.1%}{answer.logit:>9.2f}  {answer.name}"
        yield from _more(result, notes)
    yield ""
    yield f"{counts.total()} picture{'s' if counts.total() != 1 else ''}: " + ", ".join(
        f"{count} {word}" for word, count in counts.items()
    )
    yield from (f"{word}: {said}" for word, said in meanings.items())
    yield from notes


def _more(result: Result, notes: dict[str, None]) -> Iterator[str]:
    """What else there is to say of a picture, indented; sentences that belong below the table go to ``notes``."""
    if len(result.answer.crop_logits) > 1:
        yield "    crops: " + " ".join(f"{logit:.2f}" for logit in result.answer.crop_logits)
    if result.facts == [] and result.answer.verdict is not None:
        yield "    the file says: nothing of itself"
    for fact in result.facts or ():
        notes[NOT_VERIFIED] = None
        yield f"    the file says: {fact.where} {fact.key}: {fact.value}" + (
            f" ({fact.meaning})" if fact.meaning else ""
        )
    if result.stability is not None:
        yield f"    stability: {result.stability.said}"
    if result.group is not None:
        number, group = result.group
        yield (
            f"    group {number} of {len(group.members)} files that show one picture: {group.verdict.word} "
            f"({group.probability:.1%})"
        )
    if result.note:
        yield f"    note: {result.note}"
    if result.map is not None:
        notes[WHAT_IT_IS_NOT] = None
        yield f"    map: {shown(result.map)}"
