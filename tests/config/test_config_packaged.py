from __future__ import annotations

import pytest

from aigenbench.config.packaged import find_config, packaged_configs, packaged_folder
from aigenbench.errors import InputError

ONE = "RN50_clip/RN50_clip_tune_resize.yaml"


@pytest.mark.parametrize(
    "name",
    [
        f"training_configurations/{ONE}",
        ONE,
        f"./training_configurations/{ONE}",
        f"elsewhere/training_configurations/{ONE}",
    ],
)
def test_a_packaged_config_is_found_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name).samefile(packaged_folder() / ONE)


def test_a_file_of_ones_own_wins_over_a_packaged_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / ONE
    own.parent.mkdir()
    own.write_text("trainer: {}\n")
    assert find_config(ONE).samefile(own)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("RN50_clip/RN50_clip_tune_rezise.yaml", "did you mean 'RN50_clip/RN50_clip_tune_resize.yaml'"),
        ("locl_config.yaml", "did you mean 'local_config.yaml'"),
        ("/nowhere/training_configurations/" + ONE, "no config file"),
        ("training_configurations/../pyproject.toml", "no config file"),
        ("", "folder"),
        (".", "folder"),
    ],
)
def test_a_missing_file_is_told_with_the_nearest(name, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local_config.yaml").write_text("")
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        find_config(name)


def test_a_shared_ending_makes_no_name_near(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "abc.yaml").write_text("")
    with pytest.raises(InputError, match=r"training_configurations/$"):
        find_config("xyz.yaml")


def test_every_model_has_its_four_configs():
    shipped = packaged_configs()
    for name in ("RN50_clip", "ViTL14_openclip", "dinov2"):
        for kind in ("probe", "tune"):
            for view in ("resize", "crop"):
                assert f"{name}/{name}_{kind}_{view}.yaml" in shipped
    assert "benchmark_pipelines/base_benchmark_sliding_windows.yaml" in shipped
    assert "benchmark_pipelines/base_benchmark_full_training.yaml" in shipped
