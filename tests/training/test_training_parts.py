"""Layers, tokens and several backbones in a run: stored a part each and shared, resumed after a kill, exported."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from training_harness import Events, arguments, outcome, run, run_together

import aigenbench as ab
from aigenbench.config.layer import layer
from aigenbench.data.store import stores_in
from aigenbench.engine.assembly.request import Request
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.inference.detector import Detector

CACHED = "--data.features=cache"
SIZE = ("--model.model_input_size=32", "--data.augmentation_factor=1")
LAYERS = "--model.features={layers: [1, -1], tokens: both}"


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights of two small backbones, so that runs share them."""
    import timm

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(5)
    paths = {}
    for name, more in (("test_vit", {"img_size": 32}), ("test_resnet", {})):
        paths[name] = folder / f"{name}.safetensors"
        save_file(timm.create_model(name, **more).state_dict(), paths[name])
    return paths


def vit(files: dict[str, Path], *more: str, form: str = "probe") -> list[str]:
    weights = [f"--model.model_args.weights={files['test_vit']}", "--model.model_args.img_size=32"]
    return [f"--model.model_name=timm/test_vit_{form}", *weights, *SIZE, *more]


def beside(files: dict[str, Path], more: str = "") -> str:
    return f"--model.backbones=[{{timm/test_resnet: {{model_args: {{weights: {files['test_resnet']}}}{more}}}}}]"


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()


def fit(three: Path, folder: Path, *more: str, name: str = "x") -> Path:
    code, _ = run(folder, [*arguments(three, folder, *more), f"--experiment_info.experiment_id={name}"])
    assert code == 0, log(folder)[-3000:]
    return folder / "experiments_data" / f"experiment_{name}"


def logits(experiment: Path) -> np.ndarray:
    files = sorted(experiment.glob("window_*/predictions_validate_all.npz"))
    assert len(files) == 3
    return np.stack([np.load(file)["fused_logits"] for file in files])


def stores(folder: Path) -> dict[str, tuple[int, ...]]:
    """Of the training's stores, the shape of a row by backbone and part."""
    found = {}
    for store in stores_in(folder / "experiments_cache"):
        of = store.identity["identity"]
        if of["data"]["split"] == "train":
            part = of.get("part", {})
            found[" ".join(str(one) for one in (of["backbone"]["name"], *part.values()))] = store.layout.shape
    return found


@pytest.mark.slow
def test_stored_parts_are_the_ordinary_probe(three: Path, files: dict[str, Path], tmp_path: Path) -> None:
    more = vit(files, LAYERS, beside(files, ", features: {layers: [0, 3]}"))
    ordinary = fit(three, tmp_path / "ordinary", *more)
    cached = fit(three, tmp_path / "cached", *more, CACHED)
    assert np.abs(logits(ordinary)).max() > 0.1, "the head has learnt something to compare"
    assert np.abs(logits(ordinary) - logits(cached)).max() < 5e-3
    vectors = {f"timm/test_vit {layer} {kind}": (64,) for layer in (1, 5) for kind in ("cls", "patches")}
    maps = {"timm/test_resnet 0 default": (32,), "timm/test_resnet 3 default": (96,)}
    assert stores(tmp_path / "cached") == vectors | maps
    for window in range(3):
        record = torch.load(next(cached.glob(f"window_{window}/**/*final.ckpt")), weights_only=True)
        assert record["backbone"]["name"] == "timm/test_vit + timm/test_resnet"
        assert record["parts"][-1] == "timm/test_resnet layer 3"
        assert record["state_dict"]["model.head.weight"].shape == (1, 4 * 64 + 32 + 96)


@pytest.mark.slow
def test_variants_share_the_store_of_every_part_that_they_share(
    three: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def embedded() -> int:
        before = embedded.lines  # type: ignore[attr-defined]
        embedded.lines = log(tmp_path).count("embedded ")  # type: ignore[attr-defined]
        return embedded.lines - before  # type: ignore[attr-defined,no-any-return]

    embedded.lines = 0  # type: ignore[attr-defined]
    cls, both = ("--model.features={layers: [1, 2]}", "--model.features={layers: [1, -1], tokens: both}")
    fit(three, tmp_path, *vit(files, CACHED, cls), name="cls")
    assert embedded() == 2, "views to train on, and those evaluated"
    untouched = {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments_cache").rglob("*.rows")}
    fit(three, tmp_path, *vit(files, CACHED, both), name="both")
    assert embedded() == 2
    fit(three, tmp_path, *vit(files, CACHED, both, beside(files)), name="beside")
    assert embedded() == 2
    # all parts of these are there
    fit(three, tmp_path, *vit(files, CACHED, "--model.features={layers: [2, -1, 1]}", beside(files)), name="mixed")
    resnet = ["--model.model_name=timm/test_resnet_probe", f"--model.model_args.weights={files['test_resnet']}", *SIZE]
    fit(three, tmp_path, *resnet, CACHED, name="resnet")
    assert embedded() == 0
    assert len(stores(tmp_path)) == 6
    assert all(path.stat().st_mtime_ns == before for path, before in untouched.items())
    # alone, its features are what they were beside another: bit for bit, they were read from one store
    alone = fit(three, tmp_path / "alone", *resnet, CACHED)
    assert np.array_equal(logits(alone), logits(tmp_path / "experiments_data" / "experiment_resnet"))


@pytest.mark.slow
def test_a_backbone_runs_once_over_what_is_missing(three: Path, files: dict[str, Path], tmp_path: Path) -> None:
    fit(three, tmp_path, *vit(files, CACHED, LAYERS))
    sizes = {}
    for store in stores_in(tmp_path / "experiments_cache"):
        split = store.identity["identity"]["data"]["split"]
        sizes.setdefault(split, set()).add(tuple(sorted(path.name for path in store.folder.glob("*.rows"))))
    assert {split: len(names) for split, names in sizes.items()} == {"train": 1, "validation": 1}
    # one part's rows gone: these alone are computed again
    lost = next(s for s in stores_in(tmp_path / "experiments_cache") if s.identity["identity"]["part"]["layer"] == 1)
    before = {path: path.read_bytes() for path in lost.folder.glob("*.rows")}
    for path in before:
        path.unlink()
    fit(three, tmp_path, *vit(files, CACHED, LAYERS), name="again")
    assert {path: path.read_bytes() for path in lost.folder.glob("*.rows")} == before
    assert np.array_equal(*(logits(tmp_path / "experiments_data" / f"experiment_{name}") for name in ("x", "again")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stored", "layernorm", "tuned"])
def test_a_killed_run_ends_as_an_undisturbed_one(
    kind: str, three: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    more = {
        "stored": vit(files, LAYERS, beside(files), CACHED),
        "layernorm": vit(files, LAYERS, "--model.finetune=layernorm", form="tune"),
        "tuned": vit(files, "--model.features={layers: [0, 2]}", form="tune"),
    }[kind]
    fit(three, tmp_path / "undisturbed", *more)
    folder = tmp_path / "killed"
    argv = arguments(three, folder, *more)
    for kill_at in (60, 100, 80):
        assert run(folder, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    assert run(folder, argv)[0] == 0, log(folder)[-3000:]
    assert outcome(folder) == outcome(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stored", "tuned", "sharded"])
def test_two_processes_do_as_one(kind: str, three: Path, files: dict[str, Path], tmp_path: Path) -> None:
    slowly = ("--model.features={layers: [0, 2], tokens: both}", "--model.optimizer.init_args.lr=0.005")
    more = {
        "stored": vit(files, LAYERS, beside(files), CACHED),
        # of the blocks after the third, no gradient comes: nobody waits for one
        "tuned": vit(files, *slowly, form="tune"),
        "sharded": vit(files, *slowly, form="tune"),
    }[kind]
    strategy = "fsdp" if kind == "sharded" else "ddp"
    experiments = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        devices = (f"--trainer.accumulate_grad_batches={4 // processes}", "--data.train_batch_size=2")
        argv = arguments(three, folder, *more, *devices)
        together = [*argv, f"--trainer.strategy={strategy}"]
        results = [run(folder, argv)] if processes == 1 else run_together(folder, together)
        assert [code for code, _ in results] == [0] * processes, log(folder)[-3000:]
        experiments.append(folder / "experiments_data" / "experiment_x")
    one, two = (logits(experiment) for experiment in experiments)
    assert np.abs(one - two).max() < (1e-5 if kind == "stored" else 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["layers", "backbones", "tuned", "finetuned", "overridden", "gated"]
)  # fmt: skip
def test_what_is_exported_gives_the_same_scores(kind: str, three: Path, files: dict[str, Path], tmp_path: Path) -> None:
    mixed = [LAYERS, beside(files, ", features: {layers: [2]}")]
    more = {
        "layers": vit(files, LAYERS),
        "backbones": vit(files, *mixed),
        "tuned": vit(files, LAYERS, form="tune"),
        "finetuned": vit(files, LAYERS, "--model.finetune={lora: {rank: 2}}", form="tune"),
        "overridden": vit(files, *mixed, "--model.preprocessing={mean: [0.1, 0.2, 0.3], std: [0.4, 0.3, 0.2]}"),
        "gated": vit(files, LAYERS, "--model.transform=gate", "--model.head={mlp: {hidden: 8}}"),
    }[kind]
    experiment = fit(three, tmp_path, *more)
    own = ab.Detector.load(experiment, device="cpu", trust_imports=True)
    place = export(experiment, tmp_path / "detector", trust_imports=True, formats=("onnx", "program"))
    info = json.loads((place / "detector.json").read_text())
    assert info["model"]["features"] == {"layers": [1, -1], "tokens": "both"}
    for name in ("onnx", "program"):
        assert info["formats"][name]["largest_logit_shift"] < 1e-5
    detector = Detector.load(place, "cpu")
    pictures = [np.random.default_rng(i).integers(0, 255, (40, 50, 3), np.uint8) for i in range(3)]
    np.testing.assert_allclose(detector.logits(pictures), own.logits(pictures), atol=1e-5)


@pytest.mark.slow
def test_weights_that_saw_other_parts_are_refused(three: Path, files: dict[str, Path], tmp_path: Path) -> None:
    experiment = fit(three, tmp_path, *vit(files, CACHED, "--model.features={layers: [1]}"))
    (weights,) = experiment.glob("window_2/**/*final.ckpt")
    for features, sees in (("{layers: [2]}", "timm/test_vit layer 2 cls"), ("{}", "that of its backbone")):
        argv = arguments(
            three, tmp_path, *vit(files, f"--model.features={features}", f"--model.base_weights={weights}")
        )
        code, _ = run(tmp_path, [*argv, "--experiment_info.experiment_id=other"])
        assert code == 2
        assert f"holds a head on timm/test_vit layer 1 cls; here it sees {sees}" in log(tmp_path)
    assert "Traceback" not in log(tmp_path)


def test_missing_weights_of_a_further_backbone_are_told_before_data_are_read(tmp_path: Path) -> None:
    model = {"model_name": "small_cnn_probe", "model_args": {"pretrained": False}}
    missing = {"timm/test_resnet": {"model_args": {"pretrained": True, "weights": str(tmp_path / "nowhere.pth")}}}
    values = {"model": {**model, "backbones": [missing]}, "trainer": {"accelerator": "cpu", "logger": False}}
    with pytest.raises(InputError, match=r"nowhere\.pth"):
        Request((layer("test", values),)).run_with_weights("fit")
