"""The models command and what it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aigenbench.cli import main
from aigenbench.errors import InputError
from aigenbench.models import ModelFactoryRegistry
from aigenbench.models.catalogue import describe_model, fetch_model, model_names


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGENBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        ("clipL14", "openclip/clipL14openai"),
        ("dinov2_vit?14", "dinov2/dinov2_vits14"),
        ("openai/*", "openai/RN50"),
        ("vit_h_14", "torchvision/vit_h_14"),
        ("convnext_xxlarge.clip_laion2b_soup_ft_in1k", "timm/convnext_xxlarge.clip_laion2b_soup_ft_in1k"),
        ("siglip2_*", "timm/siglip2_b16"),
    ],
)
def test_names_match_patterns_and_parts(pattern: str, first: str) -> None:
    assert model_names(pattern)[0] == first


def test_all_names_of_all_sources_are_listed() -> None:
    names = model_names()
    assert len(names) == len(set(names))
    counts = {source: sum(name.startswith(f"{source}/") for name in names) for source in ("openai", "openclip")}
    assert counts == {"openai": 9, "openclip": 10}
    assert sum(name.startswith("dinov2/") for name in names) == 8
    assert "torchvision/resnet50" in names
    assert "timm/resnet50" in names


def test_list_prints_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "openai/RN50x*"]) == 0
    assert capsys.readouterr().out.split() == ["openai/RN50x4", "openai/RN50x16", "openai/RN50x64"]
    assert main(["models", "list", "no-such-name"]) == 1


def test_show_prints_the_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "RN50_probe"]) == 0
    shown = capsys.readouterr().out
    for text in ("openai/RN50", "38.3 M", "1024", "224 x 224, bicubic", "0.481455", "RN50.pt", "MIT", "no; "):
        assert text in shown


def test_sheet_says_where_the_weights_are(tmp_path: Path) -> None:
    assert describe_model("dinov2_vits14").local is None
    file = tmp_path / "weights" / "dinov2_vits14_pretrain.pth"
    file.parent.mkdir()
    file.write_bytes(b"x")
    sheet = describe_model("dinov2_vits14_tune")
    assert sheet.local == file
    assert (sheet.name, sheet.num_features, sheet.licence) == ("dinov2/dinov2_vits14", 384, "Apache-2.0")


def test_sheet_without_published_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "timm/vit_tiny_r_s16_p8_224.no_such_tag"]) == 2
    assert "did you mean 'vit_tiny_r_s16_p8_224" in capsys.readouterr().err
    assert main(["models", "show", "timm/resnet10t"]) == 0
    assert "none published" not in capsys.readouterr().out


def test_regnet_cannot_be_built_without_values() -> None:
    assert describe_model("regnet_x_400mf").parameters == 5_495_976 - 401_000  # without the 1000 classes


def test_fetch_prints_paths_and_is_done_where_the_file_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "RN50", "RN101", "--weights-dir", str(tmp_path)]) == 2
    assert "HF_HUB_OFFLINE forbids the network" in capsys.readouterr().err
    (tmp_path / "RN50.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="forbids"):  # a file that is there is not asked for, but offline comes first
        fetch_model("RN50", tmp_path / "elsewhere")


def test_wrong_names_answer_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["show", "dinov2_vitl"], ["fetch", "dinov2_vitl_probe"]):
        assert main(["models", *argv]) == 2
        captured = capsys.readouterr()
        assert "did you mean 'dinov2_vitl14'" in captured.err
        assert captured.err.count("\n") == 1


def test_users_models_have_no_sheet() -> None:
    registry = ModelFactoryRegistry()
    with registry.isolated():
        registry.register_model_factory("mine", lambda model_name, **kwargs: None)
        with pytest.raises(InputError, match="no model 'x' in source 'mine'"):
            describe_model("mine/x")


def test_looking_for_weights_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from aigenbench.models import ensure_weights\n"
        "try: ensure_weights('clipL14commonpool_probe')\n"
        "except ValueError as error: print(error)\n"
        "assert not {'torch', 'timm', 'open_clip', 'torchvision'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "models fetch openclip/clipL14commonpool" in done.stdout
