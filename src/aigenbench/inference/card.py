"""The model card of an exported detector, in the form that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from aigenbench.evaluation.predictions.standing import BENCHMARK, PARTIAL
from aigenbench.evaluation.statistics.intervals import interval_text
from aigenbench.evaluation.statistics.operating import MISSED, OperatingPoint, Rate
from aigenbench.inference.artefact import Info
from aigenbench.protocol.off_protocol import told

_IDENTIFIERS = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "openrail"),
    *("unlicense", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
"""Licences by the names that the Hub knows; any other is `other`."""


def model_card(info: Info) -> str:
    """``README.md``: metadata with a ``model-index``, then what the detector is and how often it is wrong."""
    head = yaml.safe_dump(_metadata(info), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{head}---\n\n" + "\n".join(_lines(info)) + "\n"


def _metadata(info: Info) -> dict[str, Any]:
    licence = info.licence.lower()
    known = licence in _IDENTIFIERS
    metrics = [
        {
            "type": "roc_auc",
            "name": f"AUROC, {period}" + _bounds(score["interval"]),
            "value": score["value"],
        }
        for period, score in info.scores.items()
    ]
    result = {
        "task": {"type": "image-classification", "name": "Detection of AI-generated images"},
        "dataset": _dataset(info),
        "metrics": metrics,
    }
    return {
        **({} if not licence else {"license": licence if known else "other"}),
        **({"license_name": info.licence} if licence and not known else {}),
        "library_name": "aigenbench",
        "pipeline_tag": "image-classification",
        "tags": ["ai-generated-image-detection", "aigenbench"],
        "model-index": [{"name": info.name, "results": [result]}],
    }


def _dataset(info: Info) -> dict[str, str]:
    """What the scores are of: programs that gather ``model-index`` read nothing else of it."""
    images = info.stands_on.partition(". ")[0]
    of_benchmark = images.startswith((BENCHMARK, PARTIAL)) and not info.off_protocol
    return {
        "name": f"Evaluation images of AI-GenBench's protocol ({images or 'nobody says which'})",
        "type": "ai-genbench" if of_benchmark else "other",
        "split": "validation",
    }


def _bounds(interval: list[float] | None) -> str:
    return "" if interval is None else f" (95 %: {interval[0]:.3f} to {interval[1]:.3f})"


def _lines(info: Info) -> Iterator[str]:
    until = "an unknown date" if info.knows_until is None else info.knows_until.isoformat()
    height, width = info.preprocessing.input_size
    yield f"# {info.name}"
    yield ""
    how = f"trained {told(info.off_protocol)}; it was" if info.off_protocol else "trained and"
    yield (
        f"A detector of AI-generated images, {how} evaluated by the protocol of the AI-GenBench temporal "
        "benchmark. It gives a picture the probability of being generated, and a verdict that may be *unsure*."
    )
    yield ""
    yield f"- **Knows generators until** {until}: {', '.join(info.generators) or 'nobody says which'}."
    yield f"- **Model** `{info.model['name']}`, {height} x {width} pixels, `{info.cropping.strategy}`."
    yield f"- **Licence of the weights** {info.licence or 'not stated'}."
    yield f"- **Made with** {', '.join(f'{name} {version}' for name, version in info.made_with.items())}."
    yield ""
    yield "```python"
    yield "from aigenbench.inference.detector import Detector"
    yield ""
    yield 'detector = Detector.load("this folder")'
    yield 'for answer in detector.answers(["a.jpg", "b.png"]):'
    yield "    print(answer.name, answer.probability, answer.verdict)"
    yield "```"
    yield ""
    yield from _how_good(info)
    for point in info.points:
        yield from _point(point)
    if info.formats:
        yield "## Other forms of the network"
        yield ""
        yield from (f"- {format_said(name, facts)}." for name, facts in info.formats.items())
        yield ""
    yield "## What it does not say"
    yield ""
    yield (
        "A score says how much a picture looks like what the detector learnt from; it proves nothing. Generators "
        "released after the date above, edited and re-saved pictures are recognised less well. The rates were measured "
        "on pictures half of which are real and that were recompressed as the benchmark's protocol asks for."
    )


def _how_good(info: Info) -> Iterator[str]:
    yield "## How well it tells them apart"
    yield ""
    if info.stands_on:
        yield f"Evaluated on: {info.stands_on}"
        yield ""
    yield "| period | AUROC | 95 % | images |"
    yield "|---|---|---|---|"
    for period, score in info.scores.items():
        yield f"| {period} | {100 * score['value']:.2f} | {interval_text(score['interval'])} | {score['images']} |"
    yield ""
    yield ("*Past*: generators it was trained on; *Next*: those of the following window, never seen; *Whole*: both.")
    yield ""


def _point(point: OperatingPoint) -> Iterator[str]:
    measured = point.measured
    yield f"## At {100 * point.fpr:g} % false positives"
    yield ""
    yield (
        f"Generated above a logit of {point.high:.4f}, real below {point.low:.4f}, unsure between them. Both were "
        f"fitted on the Past period, for at most {100 * point.fpr:g} % of real images called generated and "
        f"{100 * MISSED:g} % of generated ones called real. Measured on: {point.period}."
    )
    yield ""
    yield "| | rate | 95 % | images |"
    yield "|---|---|---|---|"
    yield _row("real images called generated", measured.reals_called_generated)
    yield _row("generated images called real", measured.fakes_called_real)
    yield _row("real images left unsure", measured.reals_unsure)
    yield _row("generated images left unsure", measured.fakes_unsure)
    yield _row(f"recall of the one threshold {point.threshold:.4f}", measured.recall)
    yield _row("its false positives", measured.false_positives)
    yield ""
    if point.note:
        yield f"Note: {point.note}."
        yield ""


def format_said(name: str, facts: Mapping[str, Any]) -> str:
    """A line on one of ``Info.formats``."""
    moved = f"logits off by {facts['largest_logit_shift']:.2g} at most"
    if name == "int8":
        low, high = (100 * bound for bound in facts["interval"])
        return (
            f"int8 weights: AUROC moved by {100 * facts['auroc_shift']:+.2f} [{low:+.2f}, {high:+.2f}] points on "
            f"{facts['pictures']} pictures, {facts['verdicts_changed']} verdicts changed; {moved}; thresholds and "
            "rates are those of float32"
        )
    how = f", opset {facts['opset']}, by {facts['exporter']}" if name == "onnx" else ""
    return f"{name}: {facts['file']}{how}; {moved}"


def _row(what: str, rate: Rate) -> str:
    return f"| {what} | {100 * rate.value:.1f} % | {interval_text(rate.interval)} | {rate.count} of {rate.of} |"
