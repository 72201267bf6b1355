from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aigenbench.cli.parser import model_asked_for

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
    from aigenbench.errors import InputError

    if argv == ["--config=nowhere.yaml"]:
        with pytest.raises(InputError, match="no config file"):
            model_asked_for(argv)
    else:
        assert model_asked_for([*CONFIGS, *argv]) == ("RN50_tune", {})
