"""The predictions of one window: what is written, what is read back.

One ``predictions_<stage>_all.npz`` per window and stage is the boundary between training and everything that
judges it. The keys of the benchmark's first framework keep their names and meanings; logits, fingerprints,
the window and the schema version are added. Files without the additions are read too.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench import files
from aigenbench.archives import read_npz
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.check import check_predictions
from aigenbench.evaluation.predictions.fusion import Fusion
from aigenbench.json_text import parse_json
from aigenbench.protocol.periods import period_generators, period_of_weights

SCHEMA_VERSION = 1
"""Version of the layout written here; 0 stands for a file without one."""

MOST_NAMES = 100_000
"""Generators that may stand in a list of names; each becomes an object of its own."""

_DTYPES: dict[str, Any] = {
    "scores": np.float32,
    "labels": np.int64,
    "generator_ids": np.int64,
    "identifiers": np.int64,
    "losses": np.float32,
}
_SCALARS: dict[str, type] = {
    "window": int,
    "schema_version": int,
    "knowledge": str,
    "evaluation_steps": str,
    "fusion": str,
    "benchmark_type": str,
    "protocol_fingerprint": str,
    "pairing_fingerprint": str,
    "data_fingerprint": str,
    "training_fingerprint": str,
    "timeline": str,
}
_NAMES = ("generator_id_to_name", "next_generators", "earlier_generators", "seen_generators", "off_protocol")
_WINDOWS = ("windows_timeline", "trained_windows")
AS_IS = "as is"
"""``evaluation_steps`` of images that were scored without the mandatory ones."""
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of one window on the whole evaluation set (n images, m crops, c classes).

    Rows of ``fused_*`` are images, rows of ``crop_*`` are crops; both stand in evaluation order, an image's
    crops together. Where each image is evaluated once, the ``crop_*`` arrays equal the ``fused_*`` ones.

    Attributes:
        fused_scores: float32 (n,), probability of being fake.
        fused_labels: int64 (n,), 0 real, 1 fake.
        fused_generator_ids: int64 (n,), 0 for reals.
        fused_identifiers: int64 (n,), row number of the image in its split.
        fused_losses: float32 (n,).
        crop_scores, crop_labels, crop_generator_ids, crop_identifiers, crop_losses: the same for crops, (m,).
        crop_to_image_index: int64 (m,), the row of ``fused_*`` a crop belongs to.
        identifier: int64 (n,), the evaluation set's image ids in evaluation order.
        pairing: int64 (n,), aligned with ``identifier``: for a real the id of its paired fake's generator,
            -1 for a fake.
        generator_id_to_name: names by generator id; the first is "" (real).
        windows_timeline: the generator names of every window of the evaluated data set.
        fused_logits: float32 (n,), log(p / (1 - p)) of the fused probability (see `fuse_logits`).
        crop_logits: float32 (m,).
        fused_multiclass_predictions, crop_multiclass_predictions: class probabilities of a multiclass
            detector, float32 (n, c) and (m, c); class index = generator id.
        window: index of the window, None where the file does not say.
        benchmark_type: "cumulative", "continual_learning" or "none"; None where the file does not say.
        protocol_fingerprint, pairing_fingerprint: see protocol section 4; None where the file lacks them.
        image_key: uint64 (n,), aligned with ``identifier``: which image each is, in whatever copy of the data; None
            where the file does not say, or its images have no names of their own.
        data_fingerprint, training_fingerprint: of the evaluated images, and of those of the window's training.
        evaluation_steps: "as is" where the images did not go through the mandatory steps; None otherwise.
        knowledge: of a detector that no run of the protocol has trained, what is said of its training, such as
            "unknown"; None for those that one has. It is one detector at every window.
        seen_generators: those of the data set's generators that it had seen; None where nobody says.
        trained_windows: the generator names of the windows that the weights were trained on, the last one last; None
            where the file does not say: they are then taken to be those of ``windows_timeline`` up to ``window``.
        next_generators: the generators of the Next period, which follow from ``trained_windows``.
        earlier_generators: generators that the weights never saw though they were released no later than the newest
            that was seen; they belong to no period.
        timeline: name and version of the timeline; None for the published one.
        fusion: how the scores of an image's crops became one, as JSON (`Fusion.to_record`); None for their mean.
        off_protocol: why the training is off protocol (protocol section 8); None where it is not.
        schema_version: 0 for files without one.
    """

    fused_scores: NDArray[np.float32]
    fused_labels: NDArray[np.int64]
    fused_generator_ids: NDArray[np.int64]
    fused_identifiers: NDArray[np.int64]
    fused_losses: NDArray[np.float32]
    crop_scores: NDArray[np.float32]
    crop_labels: NDArray[np.int64]
    crop_generator_ids: NDArray[np.int64]
    crop_identifiers: NDArray[np.int64]
    crop_losses: NDArray[np.float32]
    crop_to_image_index: NDArray[np.int64]
    identifier: NDArray[np.int64]
    pairing: NDArray[np.int64]
    generator_id_to_name: tuple[str, ...]
    windows_timeline: tuple[tuple[str, ...], ...]
    fused_logits: NDArray[np.float32] | None = None
    crop_logits: NDArray[np.float32] | None = None
    fused_multiclass_predictions: NDArray[np.float32] | None = None
    crop_multiclass_predictions: NDArray[np.float32] | None = None
    window: int | None = None
    benchmark_type: str | None = None
    protocol_fingerprint: str | None = None
    pairing_fingerprint: str | None = None
    image_key: NDArray[np.uint64] | None = None
    data_fingerprint: str | None = None
    training_fingerprint: str | None = None
    evaluation_steps: str | None = None
    knowledge: str | None = None
    seen_generators: tuple[str, ...] | None = None
    trained_windows: tuple[tuple[str, ...], ...] | None = None
    next_generators: tuple[str, ...] | None = None
    earlier_generators: tuple[str, ...] | None = None
    timeline: str | None = None
    fusion: str | None = None
    off_protocol: tuple[str, ...] | None = None
    schema_version: int = SCHEMA_VERSION

    def __len__(self) -> int:
        return len(self.fused_scores)

    def places(self) -> NDArray[np.intp]:
        """Where the image of every ``fused_*`` row stands in ``identifier``: (n,)."""
        if np.array_equal(self.identifier, self.fused_identifiers):
            return np.arange(len(self))
        order = np.argsort(self.identifier, kind="stable")
        return order[np.searchsorted(self.identifier, self.fused_identifiers, sorter=order)]

    def generators(self) -> NDArray[np.int64]:
        """Generator id of every image, aligned with ``identifier``: int64 (n,), 0 for reals."""
        found = np.empty(len(self), dtype=np.int64)
        found[self.places()] = self.fused_generator_ids
        return found

    def paired_generators(self) -> NDArray[np.int64]:
        """The pairing aligned with the ``fused_*`` rows: int64 (n,), -1 for fakes."""
        return self.pairing[self.places()]

    def of_images(self, kept: NDArray[np.bool_]) -> Predictions:
        """The predictions of some of the images; ``kept``, bool (n,), is aligned with ``identifier``."""
        images = kept[self.places()]
        crops = images[self.crop_to_image_index]
        masks = {"fused": images, "crop": crops, "identifier": kept, "pairing": kept, "image": kept}
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                changes[field.name] = value[masks[field.name.partition("_")[0]]]
        changes["crop_to_image_index"] = (np.cumsum(images) - 1)[self.crop_to_image_index[crops]]
        return replace(self, **changes)

    def rule_of_fusion(self) -> Fusion:
        """How the scores of an image's crops became one; what a file says is checked when it is read."""
        return Fusion() if self.fusion is None else Fusion.from_record(parse_json(self.fusion, "fusion", None))

    def period_generators(self, period: str, window: int) -> tuple[str, ...]:
        """Generators that count for a period: by what the weights were trained on, else by the index of the window."""
        if self.trained_windows is None:
            return period_generators(period, self.windows_timeline, window)
        return period_of_weights(period, self.windows_timeline, self.trained_windows, self.next_generators or ())

    def first_difference(self, other: Predictions, names: Iterable[str]) -> str:
        """The first of the attributes ``names`` in which ``other`` is another, or ""."""
        for name in names:
            a, b = getattr(self, name), getattr(other, name)
            if not (np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b):
                return name
        return ""

    def equals(self, other: Predictions) -> bool:
        """Whether every array and value is the same, bit for bit (NaN equals NaN)."""
        mine, theirs = _to_arrays(self), _to_arrays(other)
        return mine.keys() == theirs.keys() and all(
            a.dtype == theirs[k].dtype and a.shape == theirs[k].shape and a.tobytes() == theirs[k].tobytes()
            for k, a in mine.items()
        )


def save_predictions(path: Path | str, predictions: Predictions) -> None:
    """Write ``predictions`` to ``path``; the same predictions always give the same bytes.

    Raises:
        InputError: if the predictions contradict themselves; nothing is written then.
    """
    predictions = _typed(predictions)
    check_predictions(predictions, str(path))
    with files.whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, array in _to_arrays(predictions).items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_FIXED_DATE)
            with archive.open(entry, "w", force_zip64=True) as target:
                np.lib.format.write_array(target, array, version=(1, 0), allow_pickle=False)


def load_predictions(path: Path | str) -> Predictions:
    """Read and check a predictions file.

    Raises:
        InputError: naming the file and its first defect.
    """
    arrays = read_npz(path, {field.name for field in fields(Predictions)})
    predictions = _from_arrays(arrays, str(path))
    check_predictions(predictions, str(path))
    return predictions


def _to_arrays(p: Predictions) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for field in fields(p):
        value = getattr(p, field.name)
        if value is None:
            continue
        if field.name in _WINDOWS:
            width = max((len(window) for window in value), default=0)
            value = np.array([list(w) + [""] * (width - len(w)) for w in value], dtype=np.str_)
        elif field.name in _NAMES:
            value = np.array(value, dtype=np.str_)
        arrays[field.name] = np.asarray(value)
    return arrays


def _typed(p: Predictions) -> Predictions:
    changes: dict[str, Any] = {}
    for field in fields(p):
        value = getattr(p, field.name)
        if isinstance(value, np.ndarray):
            changes[field.name] = np.ascontiguousarray(value, dtype=_dtype(field.name))
    return replace(p, **changes)


def _dtype(name: str) -> Any:
    if name.endswith(("_logits", "_multiclass_predictions")):
        return np.float32
    if name == "image_key":
        return np.uint64
    return _DTYPES.get(name.partition("_")[2] if name.startswith(("fused_", "crop_")) else "", np.int64)


def _from_arrays(arrays: dict[str, NDArray[Any]], where: str) -> Predictions:
    values: dict[str, Any] = {"schema_version": 0}
    for field in fields(Predictions):
        name = field.name
        if name not in arrays:
            if field.default is MISSING:
                raise InputError(f"{where}: no array {name!r}; found {', '.join(sorted(arrays)) or 'none'}")
            continue
        array = arrays[name]
        if name in _SCALARS:
            values[name] = _scalar(array, _SCALARS[name], name, where)
        elif name in (*_NAMES, *_WINDOWS):
            values[name] = _names(array, 1 + (name in _WINDOWS), name, where)
        else:
            values[name] = _numbers(array, name, where)
    if values["schema_version"] > SCHEMA_VERSION:
        raise InputError(
            f"{where}: schema version {values['schema_version']}; this version reads up to {SCHEMA_VERSION}"
        )
    if values["schema_version"] == 0:
        values["crop_to_image_index"] = _rows_of(values["crop_identifiers"], values["fused_identifiers"])
    return Predictions(**values)


def _rows_of(crop_ids: NDArray[np.int64], image_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The image row of every crop by its identifier; older files count the images of each batch from zero."""
    order = np.argsort(image_ids, kind="stable")
    at = np.searchsorted(image_ids, crop_ids, sorter=order).clip(max=max(len(image_ids) - 1, 0))
    return order[at] if len(order) else np.zeros(len(crop_ids), dtype=np.int64)


def _scalar(array: NDArray[Any], kind: type, name: str, where: str) -> Any:
    if array.ndim or array.dtype.kind not in ("iu" if kind is int else "U"):
        raise InputError(f"{where}: {name} must be a single {kind.__name__}, found {array.dtype} {array.shape}")
    return kind(array[()])


def _names(array: NDArray[Any], dimensions: int, name: str, where: str) -> tuple[Any, ...]:
    if array.ndim != dimensions or array.dtype.kind != "U":
        raise InputError(f"{where}: {name} must be text in {dimensions}-D, found {array.dtype} {array.shape}")
    if array.size > MOST_NAMES:
        raise InputError(f"{where}: {name} holds {array.size} names; at most {MOST_NAMES} are read")
    if dimensions == 1:
        return tuple(array.tolist())
    return tuple(tuple(name for name in window if name) for window in array.tolist())


def _numbers(array: NDArray[Any], name: str, where: str) -> NDArray[Any]:
    wanted = _dtype(name)
    if array.dtype.kind not in ("fiu" if wanted is np.float32 else "iu"):
        raise InputError(f"{where}: {name} must be of type {np.dtype(wanted)}, found {array.dtype}")
    return np.ascontiguousarray(array, dtype=wanted)
