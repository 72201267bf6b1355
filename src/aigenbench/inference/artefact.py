"""An exported detector on disk: what ``detector.json`` says, and whether the folder is what was written.

The folder holds ``detector.json``, the weights as safetensors, a self-test and a model card; other formats of the
network may stand beside them. ``detector.json`` names every file with its SHA-256. What is read by default holds no
code.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from aigenbench.augmentations import EvaluationCrops
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import MEAN, Fusion
from aigenbench.evaluation.statistics.calibration import Scaling
from aigenbench.evaluation.statistics.operating import OperatingPoint
from aigenbench.files import file_sha256, fsync_folder, read_json, write_json
from aigenbench.models.build import NOT_OF_THE_FEATURES
from aigenbench.models.parts import Features, Further
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.weights.kinds import Kind, kind_of

SCHEMA = 1
DETECTOR_FILE = "detector.json"
WEIGHTS_FILE = "model.safetensors"
SELFTEST_FILE = "selftest.safetensors"
CARD_FILE = "README.md"

FUSION = MEAN
"""How the scores of a picture's crops become one, unless the run fused them otherwise (protocol section 7)."""
LARGEST_SIDE = 4096
"""Pixels along a side of what a model is given."""
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib")


@dataclass(frozen=True)
class Info:
    """What ``detector.json`` says.

    Attributes:
        name: what the detector is called.
        window: index of the window it was trained up to; None where nobody says.
        generators: names of the generators it was trained on, by date of release.
        knows_until: the release of the newest of them; None where nobody says.
        model: ``name`` and ``arguments`` to build the network again, ``features`` and ``backbones`` where the head sees
            more than its backbone's own output, ``n_outputs``, ``seen`` (the classes whose probabilities count, or None
            for a binary detector), ``preprocessing``, ``cropping`` (``strategy``, and under its name its arguments),
            ``fusion`` (see ``Fusion.to_record``), ``backbone`` (None, or ``name`` and ``sha256`` of one that is not in
            the folder), ``imports`` (the users' code that registered its factory).
        calibration: Platt's scaling of the logit, fitted on the Past period.
        points: operating points, the strictest first.
        scores: AUROC by period: ``value``, ``interval``, ``images``.
        formats: what is said of other forms of the network in the folder, by name: ``onnx``, ``program``, ``int8``.
        stands_on: which images thresholds and scores come from, in words; "" where nobody says.
        off_protocol: why its training is off protocol; none where it is not.
        licence: of the weights, or "" where nobody says.
        made_with: versions of what wrote it, by name.
        hashes: SHA-256 of every other file in the folder, by name.
        schema: version of the layout.
    """

    name: str
    window: int | None
    generators: tuple[str, ...]
    knows_until: date | None
    model: Mapping[str, Any]
    calibration: Scaling
    points: tuple[OperatingPoint, ...]
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    formats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stands_on: str = ""
    off_protocol: tuple[str, ...] = ()
    licence: str = ""
    made_with: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the network's input."""
        return Preprocessing.from_dict(self.model["preprocessing"])

    @property
    def cropping(self) -> EvaluationCrops:
        """The views of a picture that are scored."""
        return _cropping(self.model["cropping"], self.preprocessing)

    @property
    def fusion(self) -> Fusion:
        """How their scores become one."""
        return Fusion.from_record(self.model["fusion"])

    @property
    def band(self) -> tuple[float, float]:
        """(low, high): the logits between which the strictest operating point calls a picture neither."""
        return self.points[0].low, self.points[0].high

    def point(self, fpr: float) -> OperatingPoint:
        """The operating point of a false positive rate.

        Raises:
            InputError: there is none.
        """
        for point in self.points:
            if point.fpr == fpr:
                return point
        known = ", ".join(f"{point.fpr:g}" for point in self.points)
        raise InputError(f"{self.name} has no operating point of a false positive rate of {fpr:g}; it has {known}")

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema": self.schema,
            "name": self.name,
            "window": self.window,
            "generators": list(self.generators),
            "knows_until": None if self.knows_until is None else self.knows_until.isoformat(),
            "model": dict(self.model),
            "calibration": {"slope": self.calibration.slope, "offset": self.calibration.offset},
            "points": [point.to_record() for point in self.points],
            "scores": {period: dict(score) for period, score in self.scores.items()},
            "formats": {name: dict(said) for name, said in self.formats.items()},
            "stands_on": self.stands_on,
            **({"off_protocol": list(self.off_protocol)} if self.off_protocol else {}),
            "licence": self.licence,
            "made_with": dict(self.made_with),
            "hashes": dict(self.hashes),
        }


def is_exported(place: Path) -> bool:
    """Whether a folder is an exported detector's."""
    return (place / DETECTOR_FILE).is_file()


def read_info(folder: Path) -> Info:
    """Read ``detector.json``; the other files are not looked at.

    Raises:
        InputError: there is none, it is damaged, or of a newer version.
    """
    path = folder / DETECTOR_FILE
    if not path.is_file():
        what = "no exported detector" if folder.is_dir() else "not a folder"
        raise InputError(f"{folder} is {what}: there is no {path}; aigenbench export writes one")
    record = read_json(path)
    schema = record.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise InputError(f"{path} has no schema number; it is not what aigenbench export writes")
    if schema > SCHEMA:
        raise InputError(f"{path} is of schema {schema}; this version reads up to {SCHEMA}: install a newer aigenbench")
    try:
        return _info(record)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        # an InputError is a ValueError, and says more
        reason = str(error) if isinstance(error, InputError) else repr(error)
        raise InputError(f"{path} is damaged ({reason}); get the detector again") from error


def _info(record: Mapping[str, Any]) -> Info:
    window, day, calibration = record["window"], record["knows_until"], record["calibration"]
    points = tuple(OperatingPoint.from_record(point) for point in record["points"])
    if not points:
        raise ValueError("no operating point")
    return Info(
        name=str(record["name"]),
        window=None if window is None else int(window),
        generators=tuple(map(str, record["generators"])),
        knows_until=None if day is None else date.fromisoformat(day),
        model=_checked_model(record["model"]),
        calibration=Scaling(float(calibration["slope"]), float(calibration["offset"])),
        points=points,
        formats={str(name): dict(said) for name, said in record["formats"].items()},
        scores={str(period): _score(score) for period, score in record["scores"].items()},
        stands_on=str(record["stands_on"]),
        off_protocol=tuple(map(str, record.get("off_protocol", ()))),
        licence=str(record["licence"]),
        made_with={str(name): str(version) for name, version in record["made_with"].items()},
        hashes={_file_name(name): str(digest) for name, digest in record["hashes"].items()},
        schema=record["schema"],
    )


def _score(record: Mapping[str, Any]) -> Mapping[str, Any]:
    interval = record["interval"]
    if interval is not None:
        low, high = interval
        interval = [float(low), float(high)]
    return {"value": float(record["value"]), "interval": interval, "images": int(record["images"])}


def _checked_model(model: Mapping[str, Any]) -> Mapping[str, Any]:
    preprocessing = Preprocessing.from_dict(model["preprocessing"])
    if max(preprocessing.input_size) > LARGEST_SIDE:
        raise ValueError(f"an input of {preprocessing.input_size}; at most {LARGEST_SIDE} pixels a side")
    Features.of(model.get("features"))
    arguments = [model["arguments"], *(one.arguments for one in Further.all_of(model.get("backbones")))]
    unfit = [key for given in arguments for key in given if key in NOT_OF_THE_FEATURES]
    if unfit:
        raise ValueError(f"the model's argument {unfit[0]!r} does not belong in an exported detector")
    seen, outputs = model["seen"], int(model["n_outputs"])
    if seen is not None and (0 not in seen or not all(0 <= int(one) < outputs for one in seen)):
        raise ValueError(f"classes {seen} of {outputs}")
    cropping = _cropping(model["cropping"], preprocessing)
    fusion = Fusion.from_record(model["fusion"])
    if "thumbnail" in fusion.inputs and not cropping.has_thumbnail:
        raise ValueError("a rule of fusion that looks at a thumbnail where there is none")
    backbone = model["backbone"]
    if backbone is not None:
        backbone = {"name": str(backbone["name"]), "sha256": str(backbone["sha256"])}
    return {
        **model,
        "name": str(model["name"]),
        "arguments": dict(model["arguments"]),
        "n_outputs": outputs,
        "cropping": cropping.to_record(),
        "backbone": backbone,
        "imports": [str(one) for one in model["imports"]],
    }


def _cropping(record: Mapping[str, Any], preprocessing: Preprocessing) -> EvaluationCrops:
    strategy = str(record["strategy"])
    return EvaluationCrops({strategy: record.get(strategy)}, preprocessing.input_size)


def _file_name(name: str) -> str:
    if Path(name).name != name or name in (DETECTOR_FILE, "..", "."):
        raise ValueError(f"{name!r} is no name of a file beside it")
    return name


def check_files(folder: Path, info: Info) -> None:
    """Look whether all files are there and are what was written, and that nothing in the folder would run code.

    Raises:
        InputError: one is missing, is another, or is a pickle.
    """
    for path in sorted(folder.iterdir()):
        if path.is_file() and _is_pickle(path):
            raise InputError(f"{path} is a pickle, which runs code when it is opened; no exported detector has one")
    for name in (WEIGHTS_FILE, SELFTEST_FILE, *info.hashes):
        path = folder / name
        if name not in info.hashes:
            raise InputError(f"{folder / DETECTOR_FILE} does not name {name}; get the detector again")
        if not path.is_file():
            raise InputError(f"{path} is missing; get the detector again")
        if name.endswith(".safetensors"):
            # a pointer of Git LFS, half a file: said as such
            kind_of(path)
        if (found := file_sha256(path)) != info.hashes[name]:
            raise InputError(
                f"{path} is not the file that was exported: its SHA-256 is {found[:12]}..., {DETECTOR_FILE} says "
                f"{info.hashes[name][:12]}...; get the detector again"
            )


def _is_pickle(path: Path) -> bool:
    if path.suffix.lower() in PICKLES:
        return True
    try:
        return kind_of(path) is not Kind.SAFETENSORS
    except InputError:
        # neither weights nor a pickle, as nearly all files
        return False


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to write a detector to, which becomes ``output`` on leaving without an error, and else is gone.

    Raises:
        InputError: ``output`` is there already, or cannot be made.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} is there already; name another folder, or remove it")
    staging = output.parent / f".{output.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{output} cannot be made ({error.strerror}); name another folder") from error
    try:
        yield staging
        if output.is_dir():
            output.rmdir()
        staging.rename(output)
        fsync_folder(output.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_info(folder: Path, info: Info) -> Info:
    """Write ``detector.json`` last, with the hashes of all other files that are there by now.

    All get the rights that the umask gives a new file: writers such as safetensors' keep theirs to their owner.
    """
    hashes = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != DETECTOR_FILE}
    named = replace(info, hashes=hashes)
    write_json(folder / DETECTOR_FILE, named.to_record())
    for name in hashes:
        shutil.copymode(folder / DETECTOR_FILE, folder / name)
    return named
