from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aigenbench import __version__
from aigenbench.cli.parser import resolve
from aigenbench.config.packaged import packaged_configs, packaged_folder

ROOT = Path(__file__).parents[2]
PIPELINES = ["base_benchmark_sliding_windows", "base_benchmark_full_training"]
CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
# protocol section 6: model name, and batch x accumulation by kind and view
PAPER = {
    "RN50_clip": ("RN50", {"tune": ((64, 8), (64, 8)), "probe": ((512, 1), (64, 8))}),
    "ViTL14_openclip": ("clipL14commonpool", {"tune": ((16, 32), (8, 64)), "probe": ((512, 1), (64, 8))}),
    "dinov2": ("dinov2_vitl14", {"tune": ((16, 32), (8, 64)), "probe": ((64, 8), (64, 8))}),
}
VIEWS = {"resize": ("resize", "resize"), "crop": ("random_crop", "multicrop")}
CASES = [(folder, kind, view) for folder in PAPER for kind in ("tune", "probe") for view in VIEWS]


def resolved(*names):
    return resolve([part for name in names for part in ("--config", name)], "fit").config


@pytest.mark.parametrize(("folder", "kind", "view"), CASES)
def test_the_papers_configs_are_the_papers(folder, kind, view, caplog):
    name, batches = PAPER[folder]
    config = resolved(f"benchmark_pipelines/{PIPELINES[0]}.yaml", f"{folder}/{folder}_{kind}_{view}.yaml")
    model, data, trainer = config["model"]["init_args"], config["data"]["init_args"], config["trainer"]
    assert model["model_name"] == f"{name}_{kind}"
    assert (model["training_cropping_strategy"], model["evaluation_cropping_strategy"]) == VIEWS[view]
    assert model["preprocessing"] == CLIP
    assert (data["train_batch_size"], trainer["accumulate_grad_batches"]) == batches[kind][list(VIEWS).index(view)]
    assert data["train_batch_size"] * trainer["accumulate_grad_batches"] == 512
    optimizer = model["optimizer"]
    assert optimizer["class_path"] == "torch.optim.SGD"
    assert {k: optimizer["init_args"][k] for k in ("lr", "momentum", "weight_decay")} == {
        "lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4,
    }  # fmt: skip
    assert (model["scheduler"], model["model_input_size"], model["classification_threshold"]) == (
        "OneCycleLR",
        224,
        0.5,
    )
    assert (trainer["max_epochs"], trainer["gradient_clip_val"]) == (1, 1.0)
    assert (data["augmentation_factor"], data["deterministic_augmentations"]) == (4, True)
    assert (data["augmentations_base_seed"], data["maximum_processing_size"]) == (4321, 1080)
    assert not caplog.records


@pytest.mark.parametrize(("pipeline", "kind"), [(PIPELINES[0], "cumulative"), (PIPELINES[1], "none")])
def test_the_pipelines_define_the_windows(pipeline, kind):
    info = resolved(f"benchmark_pipelines/{pipeline}.yaml", "dinov2/dinov2_probe_resize.yaml").experiment_info
    assert info.sliding_windows_definition is not None
    assert info.sliding_windows_definition.benchmark_type == kind
    assert info.sliding_windows_definition.n_generators_per_window == 4


@pytest.mark.parametrize(
    "name", [n for n in packaged_configs() if not n.startswith(("benchmark_pipelines/", "sweeps/"))]
)
def test_every_models_config_resolves_over_every_pipeline(name, caplog):
    for pipeline in PIPELINES:
        assert resolved(f"benchmark_pipelines/{pipeline}.yaml", name)["model"]["init_args"]["model_name"]
    assert not caplog.records


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_pipelines_carry_a_dataset_path_to_fill_in(pipeline, tmp_path):
    text = (packaged_folder() / "benchmark_pipelines" / f"{pipeline}.yaml").read_text()
    filled = tmp_path / "filled.yaml"
    filled.write_text(text.replace("# dataset_path: /path/to/ai_gen_bench_v1.0.0", "dataset_path: /d"))
    assert resolved(str(filled), "dinov2/dinov2_probe_resize.yaml")["dataset_path"] == "/d"


def run(*arguments, **environment):
    done = subprocess.run(arguments, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_lightning_main_is_the_command():
    assert run(sys.executable, "lightning_main.py", "--version") == (0, f"{__version__}\n", "")
    code, out, err = run(sys.executable, "lightning_main.py", "fit", "--config", "nothing.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("aigenbench: error: no config file 'nothing.yaml'")


def test_run_training_has_defaults_and_passes_arguments_on(tmp_path):
    echo = tmp_path / "python"
    echo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    echo.chmod(0o755)
    local = tmp_path / "local.yaml"
    local.write_text("")
    code, out, _ = run("bash", "run_training.sh", "--x", "a b", PYTHON=str(echo), LOCAL=str(local))
    assert code == 0
    assert out.splitlines() == [
        "lightning_main.py", "fit",
        "--config", "training_configurations/benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        "--config", "training_configurations/RN50_clip/RN50_clip_tune_resize.yaml",
        "--config", str(local), "--x", "a b",
    ]  # fmt: skip
    _, out, _ = run("bash", "run_training.sh", PYTHON=str(echo), LOCAL="nothing.yaml", MODEL="m.yaml")
    assert out.splitlines()[2:] == [
        "--config", "training_configurations/benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        "--config", "m.yaml",
    ]  # fmt: skip


def test_the_wheel_brings_the_configs_and_no_foreign_names(tmp_path):
    build = shutil.which("hatchling", path=str(Path(sys.executable).parent))
    if build is None:
        pytest.skip("hatchling is not installed")
    subprocess.run([build, "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"aigenbench"}
    assert "aigenbench/py.typed" in names
    program = (
        "import aigenbench.config.packaged as p\n"
        "print(p.packaged_folder())\nprint(len(p.packaged_configs()))\n"
        "print(p.find_config('training_configurations/dinov2/dinov2_probe_crop.yaml'))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n{program}"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    folder, count, found = done.stdout.splitlines()
    assert folder == str(tmp_path / "installed" / "aigenbench" / "training_configurations")
    assert int(count) == len(packaged_configs())
    assert found == f"{folder}/dinov2/dinov2_probe_crop.yaml"
