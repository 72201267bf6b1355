from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aigenbench.cli.parser import DETECTOR_KEYS, model_asked_for, resolve
from aigenbench.errors import InputError
from aigenbench.models import ensure_weights
from aigenbench.models.weights import use_weights_folder, weights_folder

CONFIGS = [
    "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
    "--config=RN50_clip/RN50_clip_tune_resize.yaml",
]


def test_the_model_is_known_without_resolving(tmp_path: Path) -> None:
    assert model_asked_for(CONFIGS) == ("RN50_tune", {})
    typed = [*CONFIGS, "--model.model_args.pretrained=false", "--model.model_name", "timm/test_vit_probe"]
    assert model_asked_for(typed) == ("timm/test_vit_probe", {"pretrained": False})
    factory = tmp_path / "mine.py"
    factory.write_text("")
    assert model_asked_for([*CONFIGS, f"--import={factory}"]) is None
    assert model_asked_for([*CONFIGS, "--print_config"]) is None


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
    from aigenbench.cli.objects import NAMED
    from aigenbench.cli.signatures import parameters

    assert set(DETECTOR_KEYS) == set(parameters(NAMED["model"]).defaults)


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
