"""An image-classification checkpoint of transformers, with its own image processor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aigenbench.data.pictures.decode import Pixels
from aigenbench.errors import InputError
from aigenbench.files import file_sha256, read_json
from aigenbench.inference.external.functions import as_pil
from aigenbench.inference.external.labels import fake_columns
from aigenbench.inference.external.scorer import NetworkScorer
from aigenbench.models.weights.kinds import Kind, kind_of
from aigenbench.models.weights.reading import READING_ERRORS, first_names

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"


def transformers_scorer(folder: Path, fake_labels: Sequence[str]) -> NetworkScorer:
    """The detector in a folder that transformers saved: safetensors alone, and none of its own code.

    Args:
        folder: with ``config.json``, safetensors and ``preprocessor_config.json``.
        fake_labels: which labels stand for fake; empty to go by their names.

    Raises:
        InputError: transformers is missing, a file is missing or damaged, or weights are not all there.
    """
    config = read_json(folder / CONFIG)
    weights = _weights(folder)
    if config.get("auto_map"):
        raise InputError(
            f"{folder}: its {CONFIG} names code of its own (auto_map), which is not run; write a FILE.py:predict that "
            "loads it, if you trust it"
        )
    if config.get("problem_type") == "multi_label_classification":
        raise InputError(f"{folder} gives several labels at once, no choice of one; wrap it in a FILE.py:predict")
    network, processor = _loaded(folder)
    labels = [str(network.config.id2label[i]) for i in range(network.config.num_labels)]
    fake = fake_columns(labels, fake_labels, str(folder))
    files = [*weights, folder / CONFIG, folder / PROCESSOR]
    digest = hashlib.sha256("".join(file_sha256(path) for path in files).encode()).hexdigest()
    return NetworkScorer(
        network,
        fake,
        name=folder.resolve().name,
        place=folder,
        sha256=digest,
        identity={"kind": "transformers", "fake": [labels[i] for i in fake]},
        prepare=partial(_processed, processor),
    )


def _processed(processor: Any, pictures: Sequence[Pixels]) -> dict[str, Any]:
    """The tensors that an image processor makes of pictures."""
    return dict(processor(images=as_pil(pictures), return_tensors="pt"))


def _weights(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        others = [path.name for path in sorted(folder.glob("*.bin"))]
        hint = f"; {others[0]} is a pickle, which would run code: save it again as safetensors" if others else ""
        raise InputError(f"{folder} has no weights (*.safetensors){hint}")
    for path in found:
        if kind_of(path, "weights") is not Kind.SAFETENSORS:
            raise InputError(f"weights: {path} is no safetensors file; get it again")
    if not (folder / PROCESSOR).is_file():
        raise InputError(f"{folder} has no {PROCESSOR}: how its images are prepared is not known; get that file too")
    return found


def _loaded(folder: Path) -> tuple[Any, Any]:
    try:
        import transformers
    except ImportError:
        raise InputError(f"{folder} is a checkpoint of transformers: pip install 'aigenbench[transformers]'") from None
    here = {"local_files_only": True, "trust_remote_code": False}
    verbosity = transformers.logging.get_verbosity()
    # what it would warn of is refused below
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        network, told = transformers.AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, dtype="float32", **here
        )
        processor = transformers.AutoImageProcessor.from_pretrained(folder, **here)
    except (*READING_ERRORS, ImportError) as error:
        raise InputError(f"{folder} cannot be loaded by transformers: {' '.join(str(error).split())[:240]}") from error
    finally:
        transformers.logging.set_verbosity(verbosity)
        transformers.logging.enable_progress_bar()
    _check_whole(folder, told)
    return network, processor


def _check_whole(folder: Path, told: Mapping[str, Any]) -> None:
    """Refuse weights of which some would stay as they were drawn."""
    for what in ("missing_keys", "mismatched_keys"):
        if names := [str(name) for name in told.get(what) or ()]:
            raise InputError(
                f"{folder}: {len(names)} weights of the network are not in its files ({first_names(sorted(names))}), "
                "and would be random; it is no image classifier, or not whole"
            )
