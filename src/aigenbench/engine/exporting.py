"""From a finished experiment to a detector that works by itself: weights, thresholds, self-test and model card."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aigenbench import __version__
from aigenbench.config.folder import predictions_file
from aigenbench.data.samples.hooks import is_overridden
from aigenbench.engine.calling import as_a_call, folder_of
from aigenbench.engine.detector import Detector
from aigenbench.engine.experiment import Experiment
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS
from aigenbench.evaluation.metrics.definitions import auroc
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import (
    ExperimentPredictions,
    load_experiment,
    read_record,
    window_folder,
)
from aigenbench.evaluation.predictions.standing import standing_of
from aigenbench.evaluation.statistics.intervals import bounds, delong
from aigenbench.evaluation.statistics.operating import operating_points
from aigenbench.files import canonical_json, user_path, write_text
from aigenbench.inference.artefact import CARD_FILE, WEIGHTS_FILE, Info, new_folder, write_info
from aigenbench.models.build import NOT_OF_THE_FEATURES
from aigenbench.models.registry import BUILT_IN, built_in_source, split_source, split_suffix
from aigenbench.protocol.periods import PERIOD_TITLES

if TYPE_CHECKING:
    from torch import Tensor

    from aigenbench.inference.detector import Detector as Exported
    from aigenbench.inference.regression import Case
    from aigenbench.training import BaseDeepfakeDetectionModel

BACKBONES = ("included", "reference")
FORMATS = ("onnx", "program")
WEIGHTS = ("float32", "int8")
_NOT_CARRIED = (
    *("forward", "normalise", "evaluation_step", "validation_step", "predict_step", "make_model"),
    *("scores_fusion", "multiclass_to_binary_prediction", "val_augmentation", "predict_augmentation"),
    *("make_eval_crops", "make_val_crops", "make_predict_crops"),
)
"""Hooks that change what a detector computes."""
_EXACT = 1e-4
_ROUGH = 0.5
"""How far logits may lie apart of a detector and what was exported of it, in float32 and in a shorter precision."""


def export(
    experiment: Any,
    output: Path | str,
    window: int | None = None,
    backbone: str = "included",
    license: str = "",  # noqa: A002 - the word of the option
    name: str = "",
    imports: Sequence[str | Path] = (),
    trust_imports: bool = False,
    formats: Sequence[str] = (),
    weights: str = "float32",
    cases: Path | str | None = None,
) -> Path:
    """Write what a window of an experiment ended with as a detector that needs neither Lightning nor its data.

    Args:
        experiment: its folder, or an ``Experiment``.
        output: the folder to write, which is not there yet.
        window: its index; None takes the last that is finished.
        backbone: ``included``, or ``reference``: of a probe, its backbone's name and hash stand for its weights.
        license: of the weights; "" takes what the source of the backbone's weights states.
        name: what the detector is called; "" takes the experiment's name and the window.
        imports: as of ``Detector.load``.
        trust_imports: as of ``Detector.load``.
        formats: what to write beside PyTorch's weights: ``onnx``, ``program`` (of ``torch.export``).
        weights: ``float32``, or ``int8``: a quarter of the size, and other scores.
        cases: of ``int8``, labelled pictures on which the shift of AUROC is measured: a data set, or a folder with
            ``real/...`` and ``fake/...``.

    Returns:
        The folder.

    Raises:
        InputError: there are no such weights or the window was not evaluated; the detector computes what an export
            does not carry; or ``output`` is there already. Nothing is left then.
    """
    if backbone not in BACKBONES:
        raise InputError(f"backbone: expected included or reference, found {backbone!r}{nearest(backbone, BACKBONES)}")
    _check_options(formats, weights, cases)
    place, target = folder_of(experiment), user_path(output)
    loaded = Detector.of_training(place, window, "cpu", imports, trust_imports=trust_imports)
    _check_hooks(loaded.module)
    evaluated = _evaluated(place, loaded)
    from aigenbench.inference.regression import labelled

    info = _info(place, loaded, evaluated, backbone, license, name)
    with new_folder(target) as staging:
        _write(staging, info, loaded, formats, [] if cases is None else labelled(cases))
    return target


def _check_options(formats: Sequence[str], weights: str, cases: Path | str | None) -> None:
    for value, known, what in ((weights, WEIGHTS, "weights"), *((one, FORMATS, "format") for one in formats)):
        if value not in known:
            raise InputError(f"{what}: expected {' or '.join(known)}, found {value!r}{nearest(value, known)}")
    if weights == "int8" and cases is None:
        raise InputError(
            "weights int8: what it costs is measured; name labelled pictures with --cases: a data set, or a folder "
            "with real/... and fake/..."
        )
    if weights != "int8" and cases is not None:
        raise InputError("cases: they serve to measure what --weights int8 costs; leave them out")


def _write(folder: Path, info: Info, loaded: Detector, formats: Sequence[str], cases: Sequence[Case]) -> None:
    import torch
    from safetensors.torch import save_file

    from aigenbench.inference import selftest
    from aigenbench.inference.card import model_card
    from aigenbench.inference.detector import Detector as Exported
    from aigenbench.inference.network import load_network

    module = loaded.module
    save_file(_state(module, info), folder / WEIGHTS_FILE, {"format": "pt"})
    with as_a_call():
        weights = module.model_args.get("weights") if info.model["backbone"] else None
        network = load_network(folder, info, None if weights is None else user_path(weights))
    exported = Exported(folder, info, network, torch.device("cpu"), 16, 0)
    pictures = selftest.pictures(info.preprocessing.input_size, info.cropping.strategy == "as_is")
    _check_same(loaded, exported.logits(pictures), loaded.logits(pictures))
    said: dict[str, dict[str, Any]] = {}
    if cases:
        exported, said["int8"] = _in_eight_bits(folder, exported, cases)
    selftest.write(folder, pictures, exported.logits(pictures))
    if formats:
        crops = torch.cat([exported.crops(picture) for picture in pictures])
        said |= {name: _other_format(folder, name, exported, crops) for name in dict.fromkeys(formats)}
    info = replace(info, formats=said)
    write_text(folder / CARD_FILE, model_card(info))
    write_info(folder, info)


def _in_eight_bits(folder: Path, exact: Exported, cases: Sequence[Case]) -> tuple[Exported, dict[str, Any]]:
    """The detector with its weights in eight bits, written and loaded again, and what that costs."""
    from safetensors.torch import load_file, save_file

    from aigenbench.inference.detector import Detector as Exported
    from aigenbench.inference.network import head_of, load_network
    from aigenbench.inference.quantised import quantised
    from aigenbench.inference.regression import regress

    if exact.info.model["backbone"] is not None:
        raise InputError("weights int8: the backbone's weights are not in the folder; export with backbone included")
    if not head_of(exact.info).trains:
        raise InputError("weights int8: a scorer's rows are no weights, and eight bits would not do; export in float32")
    path = folder / WEIGHTS_FILE
    save_file(quantised(load_file(path)), path, {"format": "pt"})
    rough = Exported(folder, exact.info, load_network(folder, exact.info), exact.device, 16, 0)
    found = regress(exact, rough, cases)
    if found.interval is None:
        raise InputError("cases: fewer than two pictures of a class could be read; AUROC's shift needs both classes")
    costs = {
        "pictures": found.cases - found.unreadable,
        "auroc_shift": found.shift,
        "interval": list(found.interval),
        "largest_logit_shift": found.largest,
        "verdicts_changed": len(found.changes),
    }
    return rough, costs


def _other_format(folder: Path, name: str, exported: Exported, crops: Tensor) -> dict[str, Any]:
    """Write the network in another form; the rule of fusion and the preprocessing stay what ``detector.json`` says."""
    from aigenbench.inference.formats import onnx, program

    if exported.info.cropping.strategy == "as_is":
        raise InputError(f"format {name}: the model takes pictures of any size as they are; export it without")
    if name == "onnx":
        facts = onnx.write_onnx(exported.network, crops, folder / onnx.FILE)
        return {"file": onnx.FILE, "exporter": facts.exporter, "opset": facts.opset, "largest_logit_shift": facts.shift}
    shift = program.write_program(exported.network, crops, folder / program.FILE)
    return {"file": program.FILE, "largest_logit_shift": shift}


def _check_hooks(module: BaseDeepfakeDetectionModel) -> None:
    changed = [hook for hook in _NOT_CARRIED if is_overridden(type(module), hook)]
    if changed:
        raise InputError(
            f"{type(module).__name__} overrides {', '.join(changed)}, and an export carries the model alone; put "
            "what is computed there into a model of a factory of your own (docs/models.md) and train that"
        )


def _evaluated(place: Path, loaded: Detector) -> ExperimentPredictions:
    """The experiment's predictions, among them those of the very weights that were loaded."""
    window = loaded.window
    if not place.is_dir() or window is None:
        raise InputError(
            f"{place} is no experiment's folder; the thresholds come from what its windows were evaluated to"
        )
    path = window_folder(place, window) / predictions_file("validate")
    if not path.is_file():
        raise InputError(f"{path} is not there: evaluate the window first, with aigenbench validate")
    record = read_record(path)
    if record is not None and not record.get("own"):
        raise InputError(f"{path} is of other weights ({record.get('weights')}); evaluate the window's own first")
    return load_experiment(place)


def _info(
    place: Path, loaded: Detector, evaluated: ExperimentPredictions, backbone: str, licence: str, name: str
) -> Info:
    window, trained = loaded.window, loaded.trained
    assert window is not None, "checked before"
    calibration, points = operating_points(evaluated, window)
    dates = [] if trained is None else [trained.dates[one] for one in trained.generators if one in trained.dates]
    model = _model(loaded, backbone)
    standing = standing_of(evaluated, Experiment(place).records)
    return Info(
        name=name or f"{evaluated.name}_window_{window}",
        window=window,
        generators=() if trained is None else trained.generators,
        knows_until=max(dates, default=None),
        model=model,
        calibration=calibration,
        points=points,
        scores=_scores(evaluated, window),
        stands_on=f"{standing.text}. {standing.meaning}",
        off_protocol=evaluated.off_protocol,
        licence=licence or _licence(model["name"]),
        made_with=_versions(),
    )


def _model(loaded: Detector, backbone: str) -> Mapping[str, Any]:
    from aigenbench.training.detector.records import backbone_reference
    from aigenbench.training.detector.tasks import MulticlassTask

    module = loaded.module
    reference = backbone_reference(module)
    if backbone == "reference" and reference is None:
        raise InputError(
            f"backbone reference: {module.model_name} is no probe, so no published weights are its backbone's; leave "
            "the option out"
        )
    if backbone == "reference" and " + " in str(module.model.name):
        raise InputError("backbone reference: of several backbones the weights are included; leave the option out")
    return {
        "name": _full_name(module),
        "arguments": _plain(module.model_args),
        **_parts(module),
        **module.head_choice.said(),
        "n_outputs": module.n_outputs,
        "seen": list(module.task.seen) if isinstance(module.task, MulticlassTask) else None,
        "preprocessing": module.preprocessing.to_dict(),
        "cropping": module.evaluation_crop.to_record(),
        "fusion": module.fusion.to_record(),
        "backbone": reference if backbone == "reference" else None,
        "imports": list(loaded.description.get("imports") or []),
    }


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say what a model computes."""
    plain = {key: value for key, value in arguments.items() if key not in NOT_OF_THE_FEATURES}
    try:
        canonical_json(plain)
    except (TypeError, ValueError) as error:
        raise InputError(f"model.model_args {plain}: only plain values can be exported ({error})") from error
    return plain


def _parts(module: BaseDeepfakeDetectionModel) -> dict[str, Any]:
    """Layers, tokens and further backbones that the head sees, where it sees more than one backbone's output."""
    from aigenbench.models.parts import Features, Further
    from aigenbench.models.tapping import SideBySide

    backbone = getattr(module.model, "backbone", None)
    if not isinstance(backbone, SideBySide):
        return {}
    further = Further.all_of(module.parts.get("backbones"))
    named = [
        {one.name: {"features": asked.features.said(), "model_args": _plain(asked.arguments)}}
        for (one, _), asked in zip(backbone.each[1:], further, strict=True)
    ]
    return {"features": Features.of(module.parts.get("features")).said(), **({"backbones": named} if named else {})}


def _full_name(module: BaseDeepfakeDetectionModel) -> str:
    """The model's name with the source that answered to it."""
    source, name = split_source(module.model_name)
    if source is None:
        # of a user's module without a name, each factory is asked again
        source = str(getattr(module.model, "name", "")).partition("/")[0] or None
    return name if source is None else f"{source}/{name}"


def _state(module: BaseDeepfakeDetectionModel, info: Info) -> dict[str, Any]:
    """All tensors of the model; of one that stands on a backbone named by reference, those of the head."""
    from aigenbench.models.probe import Classifier

    model: Any = module.model
    if isinstance(model, Classifier) and info.model["backbone"] is None:
        model = model.exposed()
    # copies: safetensors takes no tensors that share memory
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}


def _check_same(loaded: Detector, logits: Any, expected: Any) -> None:
    difference = float(np.abs(logits - expected).max())
    precision = str((loaded.description.get("trainer") or {}).get("precision"))
    if difference > (_EXACT if precision in ("None", "32", "32-true") else _ROUGH):
        raise InputError(
            f"{loaded.path}: what was exported gives other logits (by {difference:.3g}) than the detector, "
            f"{type(loaded.module).__name__}: its own code changes what is computed; put that into a model "
            "of a factory of your own (docs/models.md)"
        )


def _scores(evaluated: ExperimentPredictions, window: int) -> dict[str, dict[str, Any]]:
    """AUROC of the periods that have both classes."""
    groups = WindowGroups(evaluated.windows[window])
    found = {PERIOD_TITLES[period]: groups.period(period, window) for period in SHOWN_PERIODS}
    return {
        title: {"value": auroc(group), "interval": bounds(delong(group)), "images": group.n}
        for title, group in found.items()
        if group.both_classes
    }


def _licence(model_name: str) -> str:
    source, name = split_source(model_name)
    card = built_in_source(source).card(split_suffix(name)[0]) if source in BUILT_IN else None
    return "" if card is None else card.licence


def _versions() -> dict[str, str]:
    import torch

    return {"aigenbench": __version__, "torch": torch.__version__, "python": platform.python_version()}
