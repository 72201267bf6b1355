"""The wheel holds what the code reads beside itself, and works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What installing the wheel lays down."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = out.glob("aigenbench-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.*") if "__pycache__" not in path.parts}


def test_it_holds_the_whole_package_and_its_configs(site: Path) -> None:
    wanted = files_in(ROOT / "src" / "aigenbench")
    configs = files_in(ROOT / "training_configurations")
    assert {"py.typed", "evaluation/templates/report.html", "protocol/generators.csv"} <= wanted
    assert len(configs) > 10
    assert files_in(site / "aigenbench") == wanted | {f"training_configurations/{name}" for name in configs}


def test_it_works_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(
            [sys.executable, "-P", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = run(
        "-c", "from aigenbench.config.packaged import find_config as f; print(f('RN50_clip/RN50_clip_tune_crop.yaml'))"
    )
    assert found.startswith(str(site))
    run("-m", "aigenbench", "report", str(ROOT / "tests" / "golden" / "exp_binary"))
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
