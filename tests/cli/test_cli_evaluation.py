"""The commands that judge predictions, as typed."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aigenbench.cli.arguments import Parser
from aigenbench.errors import InputError
from aigenbench.evaluation.metrics import METRICS
from aigenbench.protocol.timeline import PUBLISHED

COLUMNS = [*PUBLISHED.names, *[""] * len(PUBLISHED.names)] * 2


def run(*argv: str) -> int:
    """Run a command's own parser, as the front of the command line does."""
    parser = Parser(prog="aigenbench")
    importlib.import_module(f"aigenbench.cli.{argv[0]}").register(parser.add_subparsers(required=True))
    arguments: argparse.Namespace = parser.parse_args(list(argv))
    return int(arguments.run(arguments))


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "columns.json").write_text(json.dumps({"train": COLUMNS, "validation": COLUMNS}))
    for name, seed in (("a", 0), ("b", 1)):
        rng = np.random.default_rng(seed)
        fake = np.array([bool(generator) for generator in COLUMNS])
        lines = [
            f"{i},{k},{score:.6f}"
            for k in range(9)
            for i, score in enumerate(1 / (1 + np.exp(0.7 - 1.4 * fake - rng.normal(size=len(fake)))))
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["image_id,window,score", *lines]))
        columns = str(tmp_path / "columns.json")
        assert (
            run("submission", "import", str(tmp_path / f"{name}.csv"), "--columns", columns, "-o", str(tmp_path / name))
            == 0
        )
    assert "windows 0, 1, 2, 3, 4, 5, 6, 7, 8" in capsys.readouterr().out
    return tmp_path


def test_from_a_csv_file_to_the_leaderboard(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, columns = (str(imported / name) for name in ("a", "b", "columns.json"))
    assert run("compare", a, b, "--replicates", "50") == 0
    assert "a - b:" in capsys.readouterr().out
    assert run("compare", a, b, "--replicates", "50", "--json") == 0
    assert json.loads(capsys.readouterr().out)["experiments"] == ["a", "b"]
    (imported / "card.yaml").write_text("name: Mine\nlicence: MIT\n")
    bundle = str(imported / "entries/a.zip")
    assert run("submission", "make", a, "-o", bundle, "--card", str(imported / "card.yaml")) == 0
    assert run("submission", "verify", bundle, "--per-generator", "2", "--columns", columns) == 0
    assert "accepted" in capsys.readouterr().out
    assert run("submission", "verify", bundle) == 1
    assert "expected 1000 of each generator" in capsys.readouterr().out
    site = str(imported / "site")
    assert (
        run("leaderboard", "build", str(imported / "entries"), "-o", site, "--per-generator", "0", "--replicates", "20")
        == 0
    )
    assert "Mine" in (imported / "site/index.html").read_text()


def test_the_report(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = imported / "r.html"
    assert run("report", str(imported / "a"), str(imported / "b"), "-o", str(page), "--replicates", "20") == 0
    assert "Side by side" in page.read_text()
    assert f"report: {page}" in capsys.readouterr().out


def test_several_seeds(imported: Path) -> None:
    runs = [str(imported / name) for name in "ab"]
    page = imported / "r.html"
    assert run("report", *runs, "-o", str(page), "--replicates", "10", "--seeds") == 0
    assert "Other seeds: mean AUROC (%) of a, b" in page.read_text()
    with pytest.raises(InputError, match="--seeds needs two experiments"):
        run("report", runs[0], "-o", str(imported / "none.html"), "--seeds")
    assert not (imported / "none.html").exists()


@pytest.fixture
def metrics_put_back() -> Iterator[None]:
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)
    sys.modules.pop("own_metric", None)


@pytest.mark.usefixtures("metrics_put_back")
def test_a_metric_of_ones_own(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = imported / "own_metric.py"
    own.write_text(
        "from aigenbench.evaluation.metrics import metric\n\n"
        "@metric('share_called_fake')\n"
        "def share(group):\n"
        "    return float((group.scores > group.threshold).mean())\n"
    )
    a, page = str(imported / "a"), imported / "r.html"
    assert run("score", a, "--import", str(own), "--metric", "share_called_fake") == 0
    assert "share_called_fake (%)" in capsys.readouterr().out
    assert run("report", a, "--import", str(own), "-o", str(page), "--replicates", "5") == 0
    assert "Share called fake" in page.read_text()
    with pytest.raises(InputError, match="no Python file to import"):
        run("report", a, "--import", str(imported / "none.py"))


def test_classes_of_images_are_scored_where_the_data_set_is_at_hand(
    imported: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("score", str(imported / "a"), "--json", "--dataset", str(imported / "columns.json")) == 0
    assert "origins" not in json.loads(capsys.readouterr().out)
    (tmp_path / "other.json").write_text(json.dumps({"train": [], "validation": COLUMNS[::-1]}))
    with pytest.raises(InputError, match="is not the data set of a: image"):
        run("score", str(imported / "a"), "--json", "--dataset", str(tmp_path / "other.json"))
    (tmp_path / "short.json").write_text(json.dumps({"train": [], "validation": COLUMNS[:9]}))
    with pytest.raises(InputError, match="has 9 images, but a scores image"):
        run("report", str(imported / "a"), "--replicates", "5", "--dataset", str(tmp_path / "short.json"))


def test_the_report_shows_mistakes_where_the_data_set_is_at_hand(tmp_path: Path) -> None:
    names = ["CycleGAN", "ProGAN", "StarGAN", "BigGAN", "StyleGAN1", "GauGAN", "", "", "", "", "", ""]
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        for i in range(len(names)):
            Image.new("RGB", (40, 30), (20 * i, 99, 0)).save(tmp_path / split / f"{i}.png")
    rows = [f"{s}/{i}.png,{int(bool(n))},{n},{s}" for s in ("train", "validation") for i, n in enumerate(names)]
    (tmp_path / "index.csv").write_text("\n".join(["path,label,generator,split", *rows]))
    scores = [f"{i},0,{0.2 if name else 0.8}" for i, name in enumerate(names)]
    (tmp_path / "s.csv").write_text("\n".join(["image_id,window,score", *scores]))
    made, page = str(tmp_path / "made"), tmp_path / "r.html"
    assert run("submission", "import", str(tmp_path / "s.csv"), "--columns", str(tmp_path), "-o", made) == 0
    options = ("-o", str(page), "--replicates", "5")
    assert run("report", made, "--dataset", str(tmp_path), *options) == 0
    assert page.read_text().count('<img src="data:image/jpeg;base64,') == 4
    (tmp_path / "validation/4.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"image 4 cannot be shown"):
        run("report", made, "--dataset", str(tmp_path), *options)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["report", "x", "x"], "named twice"),
        (["report", "x", "--replicates", "0"], "--replicates must be a whole number of at least 1, found '0'"),
        (["compare", "x", "y"], "no experiment folder x"),
        (["submission", "make", "x", "--card", "none.yaml"], "--card none.yaml cannot be read"),
        (["submission", "verify", "x", "--per-generator", "many"], "--per-generator must be a whole number"),
        (["leaderboard", "build", "none"], "no folder none"),
    ],
)
def test_wrong_arguments(argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run(*argv)
    assert list(tmp_path.iterdir()) == []
