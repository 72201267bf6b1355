from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aigenbench.cli.command_line import take_apart
from aigenbench.cli.parser import request_of, resolve
from aigenbench.config.names import DETECTOR
from aigenbench.engine.assembly.spelling import arguments_of
from aigenbench.errors import InputError
from aigenbench.models import ensure_weights
from aigenbench.models.weights.locate import use_weights_folder, weights_folder

CONFIGS = [
    "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
    "--config=RN50_clip/RN50_clip_tune_resize.yaml",
]


def model_asked_for(argv: list[str]) -> tuple[str, dict[str, Any]] | None:
    return request_of(take_apart(argv)).model


def test_the_model_is_known_without_resolving(tmp_path: Path) -> None:
    assert model_asked_for(CONFIGS) == ("RN50_tune", {})
    typed = [*CONFIGS, "--model.model_args.pretrained=false", "--model.model_name", "timm/test_vit_probe"]
    assert model_asked_for(typed) == ("timm/test_vit_probe", {"pretrained": False})
    factory = tmp_path / "mine.py"
    factory.write_text("")
    assert model_asked_for([*CONFIGS, f"--import={factory}"]) is None


def test_missing_weights_are_told_before_torch_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from aigenbench.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "fit", *CONFIGS, f"--model.model_args.weights_dir={tmp_path}"],
        env={"PATH": "/usr/bin", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "aigenbench models fetch openai/RN50" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argv", [["--model.model_nam=x"], ["--config=nowhere.yaml"]])
def test_other_mistakes_are_left_to_resolving(argv: list[str]) -> None:
    if argv == ["--config=nowhere.yaml"]:
        with pytest.raises(InputError, match="no config file"):
            model_asked_for(argv)
    else:
        assert model_asked_for([*CONFIGS, *argv]) is None


def test_a_mistyped_key_is_not_hidden_by_missing_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGENBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from aigenbench.cli import fit

    with pytest.raises(InputError, match=r"unknown key model\.init_args\.weights"):
        fit.run([*CONFIGS, "--model.weights=RN50.pt"], "fit")


def test_the_detectors_keys_are_those_of_the_detector() -> None:
    from aigenbench.engine.assembly.objects import NAMED
    from aigenbench.engine.assembly.signatures import parameters

    assert arguments_of(DETECTOR) == set(parameters(NAMED["model"]).defaults)


def test_weights_are_looked_for_in_the_configs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGENBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "mine"
    try:
        assert model_asked_for([*CONFIGS, f"--weights_dir={folder}"]) == ("RN50_tune", {})
        assert weights_folder() == folder
        with pytest.raises(InputError, match=f"is not in {folder} and"):
            ensure_weights("RN50_tune")
        folder.mkdir()
        (folder / "RN50.pt").write_bytes(b"x")
        assert ensure_weights("RN50_tune") == folder / "RN50.pt"
        assert weights_folder(tmp_path / "called") == tmp_path / "called"
        # the next run's config names none
        resolve(CONFIGS, "fit")
        assert weights_folder() == tmp_path / "home" / "weights"
    finally:
        use_weights_folder(None)


def told(tmp_path: Path, *more: str, code: str = "pass") -> str:
    """The last line of a fit without the model's weights and without a network."""
    program = f"import sys; from aigenbench.cli import main; code = main(sys.argv[1:]); {code}; sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", program, "fit", *CONFIGS, *more],
        env={
            "PATH": "/usr/bin",
            "HF_HUB_OFFLINE": "1",
            "HOME": str(tmp_path),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        },
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("--model.weights=x.pt", "model.init_args.weights"),
        ("--trainer.max_epoch=2", "trainer.max_epoch"),
        ("--model.optimizer.lrr=1", "model.init_args.optimizer.init_args.lrr"),
    ],
)
def test_a_mistyped_key_is_told_before_missing_weights(tmp_path: Path, typed: str, key: str) -> None:
    assert f"unknown key {key}" in told(tmp_path, typed)


@pytest.mark.parametrize(
    "typed", ["--trainer.max_epochs=2", "--data.num_workers=1", "--model.optimizer.lr=0.1", "--seed_everything=3"]
)
def test_right_keys_need_no_import(tmp_path: Path, typed: str) -> None:
    line = told(tmp_path, typed, code="assert 'torch' not in sys.modules")
    assert "aigenbench models fetch openai/RN50" in line


def test_keys_are_compared_with_the_classes_sources() -> None:
    def is_spelt_right(argv: list[str]) -> bool:
        return request_of(take_apart(argv)).is_spelt_right

    assert is_spelt_right([*CONFIGS, "--trainer.accelerator=cpu", "--data.cache=all", "--model.scheduler=null"])
    assert not is_spelt_right([*CONFIGS, "--data.cach=all"])
    # what cannot be known without importing may be a mistake
    assert not is_spelt_right([*CONFIGS, "--model.class_path=mine.Detector"])


def test_the_weights_folder_of_the_top_key_is_used(tmp_path: Path) -> None:
    assert model_asked_for([*CONFIGS, "--weights_dir=mine"]) == ("RN50_tune", {})
    assert f"RN50.pt) is not in {tmp_path}/mine and" in told(tmp_path, f"--weights_dir={tmp_path}/mine")


def test_the_weights_folder_of_the_top_key_reaches_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import torchvision

    from aigenbench.cli.parser import resolve
    from aigenbench.errors import InputError

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    state = torchvision.models.mnasnet0_5().state_dict()
    torch.save(state, tmp_path / "mnasnet0.5_top1_67.823-3ffadce67e.pth")
    argv = [*CONFIGS, "--model.model_name=mnasnet0_5_probe", f"--weights_dir={tmp_path}"]
    with pytest.raises(InputError, match="is not the file published under that name"):
        resolve(argv, "fit").instantiate_model()


@pytest.mark.parametrize("key", ["model.base_weights", "ckpt_path"])
def test_files_that_are_named_are_looked_at_before_data(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from aigenbench.cli import main

    (tmp_path / "zero.ckpt").write_bytes(b"")
    name = ["--model.model_name=small_cnn_tune", "--model.model_args.pretrained=false"]
    assert main(["validate", *CONFIGS, *name, f"--{key}={tmp_path / 'zero.ckpt'}"]) == 2
    assert f"{key}: {tmp_path / 'zero.ckpt'} is empty" in capsys.readouterr().err
