"""The commands that judge predictions, as typed."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aigenbench.cli.arguments import Parser
from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.definitions import METRICS
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
    assert run("compare", a, b, "--by-row", "--replicates", "50") == 0
    assert "a - b:" in capsys.readouterr().out
    assert run("compare", a, b, "--by-row", "--replicates", "50", "--json") == 0
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


def test_results_go_into_a_folder_that_is_named(
    imported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(imported)
    assert run("report", "a", "-o", ".", "--replicates", "5") == 0
    assert "report: report.html" in capsys.readouterr().out
    assert "Over the windows" in Path("report.html").read_text()
    Path("out").mkdir()
    assert run("submission", "make", "a", "-o", "out") == 0
    assert run("score", "a", "--plot", "out") == 0
    assert {path.name for path in Path("out").iterdir()} == {"a.zip", "curves.png"}


@pytest.mark.parametrize(
    "argv",
    [
        ["report", "a", "-o", "a.csv/x.html"],
        ["report", "a", "-o", "r.html", "--export", "a.csv"],
        ["score", "a", "--plot", "a.csv/x.png"],
        ["submission", "make", "a", "-o", "a.csv/x.zip"],
        ["submission", "import", "a.csv", "--columns", "columns.json", "-o", "b.csv"],
        ["leaderboard", "build", ".", "-o", "a.csv"],
    ],
)
def test_places_that_cannot_be_written_are_told_first(
    imported: Path, argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(imported)
    before = sorted(imported.iterdir())
    with pytest.raises(InputError, match="is no folder"):
        run(*argv)
    assert sorted(imported.iterdir()) == before


def test_incomplete_runs_are_compared_and_reported(
    imported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(imported)
    shutil.rmtree("a/window_8")
    shutil.rmtree("a/window_3")
    assert run("compare", "a", "b", "--by-row", "--replicates", "10") == 0
    assert "note: a: no validate predictions for window 3, 8 of 0..8" in capsys.readouterr().out
    assert run("report", "a", "b", "--replicates", "5") == 0
    page = Path("report.html").read_text()
    assert "a: no validate predictions for window 3, 8 of 0..8" in page
    for k in range(8):
        shutil.rmtree(f"b/window_{k}")
    # nothing in common: the last window has no Next period
    assert run("compare", "a", "b", "--by-row", "--replicates", "10") == 0
    assert "undefined" in capsys.readouterr().out
    assert run("report", "a", "b", "--replicates", "5") == 0


def test_models_are_compared_by_their_seeds(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed, width in (("a", 1, 8), ("b", 2, 8), ("c", 1, 9)):
        if name == "c":
            shutil.copytree(imported / "b", imported / "c")
        (imported / name / "window_0/config.yaml").write_text(f"seed_everything: {seed}\nmodel: {{width: {width}}}\n")
    runs = [str(imported / name) for name in "abc"]
    assert run("compare", *runs, "--by-row", "--replicates", "20") == 0
    out = capsys.readouterr().out
    assert "a, b" in out
    assert "a, b - c:" in out


def test_json_holds_the_intervals(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", str(imported / "a"), "--json", "--replicates", "20") == 0
    scores = json.loads(capsys.readouterr().out)
    low, high = scores["intervals"]["headline"]["images"]
    assert low <= scores["headline"]["mean"] <= high
    columns = scores["intervals"]["periods"]["immediate_future"]
    for name in ("auroc", "auroc_generators", "accuracy", "ece", "average_precision"):
        assert columns[name][0][0] <= scores["periods"]["immediate_future"][name.partition("_gen")[0]][0]
    assert scores["intervals"]["replicates"] == 20
    assert run("score", str(imported / "a"), "--json", "--replicates", "0") == 0
    assert json.loads(capsys.readouterr().out)["intervals"] is None


@pytest.mark.usefixtures("metrics_put_back")
@pytest.mark.parametrize("name", ["auroc", "n_fake", "auroc_generators"])
@pytest.mark.parametrize("how", ["@metric({name!r})", "METRICS.update({{{name!r}: f}})", "METRICS[{name!r}] = f"])
def test_a_metric_named_like_a_known_one_is_refused(imported: Path, name: str, how: str) -> None:
    function = "def f(group):\n    return 0.123\n"
    entered = how.format(name=name)
    body = f"{entered}\n{function}" if entered.startswith("@") else f"{function}\n{entered}\n"
    (imported / "own_metric.py").write_text(
        f"from aigenbench.evaluation.metrics.definitions import METRICS, metric\n\n{body}"
    )
    before = METRICS["auroc"]
    with pytest.raises(InputError, match=rf"the metric '{name}' is one of aigenbench's own.*, line \d"):
        run("score", str(imported / "a"), "--import", str(imported / "own_metric.py"))
    assert METRICS["auroc"] is before


def test_the_quickstart_reaches_the_leaderboard_as_documented(
    imported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(imported)
    page = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"(?ms)^```\w*\n(.*?)^```", page) if "submissions/quickstart.zip" in b)
    (imported / "a").rename(imported / "experiment_quickstart")
    Path("experiments_data").mkdir()
    (imported / "experiment_quickstart").rename("experiments_data/experiment_quickstart")
    (imported / "columns.json").rename("demo_data.json")
    commands = [line.replace("demo_data", "demo_data.json").split()[1:] for line in block.splitlines()]
    assert [command[0] for command in commands] == ["submission", "submission", "leaderboard"]
    assert [run(*command) for command in commands] == [0, 0, 0]
    out = capsys.readouterr().out
    assert "accepted" in out
    assert "site/index.html: 1 entry, 0 rejected" in out
    assert "partial: 36 of 36 generators, 72 fakes" in Path("site/index.html").read_text()


def test_a_metric_that_the_run_logged_is_known(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = "step,name,value\n1,validate/growing/mean_score,0.4321\n"
    (imported / "a/window_0/metrics.csv").write_text(log)
    assert run("score", str(imported / "a"), "--metric", "mean_score") == 0
    assert "43.21" in capsys.readouterr().out
    assert run("score", str(imported / "a"), "--json", "--replicates", "0") == 0
    assert json.loads(capsys.readouterr().out)["logged"]["growing"]["mean_score"][0] == 0.4321
    with pytest.raises(InputError, match="did you mean 'mean_score'"):
        run("score", str(imported / "a"), "--metric", "mean_scores")


def test_changes_of_the_configuration_are_told(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = '[{"date": "2026-02-03", "changes": ["lr: 1 -> 2"], "window": 4}]'
    (imported / "a/config_changes.json").write_text(record)
    line = "went on with another configuration (2026-02-03, at window 4): lr: 1 -> 2"
    assert run("score", str(imported / "a")) == 0
    assert f"note: {line}" in capsys.readouterr().out
    assert run("compare", str(imported / "a"), str(imported / "b"), "--by-row", "--replicates", "5") == 0
    assert f"note: a: {line}" in capsys.readouterr().out
    bundle = str(imported / "a.zip")
    assert run("submission", "make", str(imported / "a"), "-o", bundle) == 0
    assert run("submission", "verify", bundle, "--per-generator", "0") == 0
    assert line in capsys.readouterr().out


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
    before = set(METRICS)
    yield
    for name in set(METRICS) - before:
        del METRICS[name]
    sys.modules.pop("own_metric", None)


@pytest.mark.usefixtures("metrics_put_back")
def test_a_metric_of_ones_own(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = imported / "own_metric.py"
    own.write_text(
        "from aigenbench.evaluation.metrics.definitions import metric\n\n"
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
        (["submission", "make", "x", "--card", "none.yaml"], "none.yaml: no such file"),
        (["submission", "verify", "x", "--per-generator", "many"], "--per-generator must be a whole number"),
        (["leaderboard", "build", "none"], "no folder none"),
    ],
)
def test_wrong_arguments(argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run(*argv)
    assert list(tmp_path.iterdir()) == []


OWN = ("Alpha", "Beta", "Gamma", "Delta", "Epsilon")


@pytest.fixture
def extended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Predictions made elsewhere on a timeline with five further generators."""
    dates = "".join(f"  {name}: 2025-0{month}-01\n" for month, name in enumerate(OWN, 1))
    (tmp_path / "frontier.yaml").write_text(f"name: frontier\nversion: '1'\ngenerators:\n{dates}")
    columns = [*PUBLISHED.names, *OWN, *[""] * 41] * 2
    (tmp_path / "columns.json").write_text(json.dumps({"train": columns, "validation": columns}))
    rng, fake = np.random.default_rng(0), np.array([bool(name) for name in columns])
    scores = [1 / (1 + np.exp(-(rng.normal(size=len(columns)) + fake))) for _ in range(11)]
    lines = [f"{i},{k},{x:.9f}" for k, of_window in enumerate(scores) for i, x in enumerate(of_window)]
    (tmp_path / "scores.csv").write_text("\n".join(["image_id,window,score", *lines]))
    given = ("scores.csv", "--columns", "columns.json", "-o", "ext", "--timeline", "frontier.yaml")
    assert (
        run("submission", "import", *(str(tmp_path / one) if "." in one or one == "ext" else one for one in given)) == 0
    )
    capsys.readouterr()
    return tmp_path / "ext"


def test_an_extended_timeline_has_two_headlines(extended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", str(extended)) == 0
    said = capsys.readouterr().out
    standard = (
        "Standard headline, the published windows within the extended evaluation set: Next-period AUROC, mean over 8"
    )
    assert standard in said
    assert "Extended headline, timeline frontier 1: Next-period AUROC, mean over 10 windows" in said
    assert run("score", str(extended), "--json", "--replicates", "20") == 0
    found = json.loads(capsys.readouterr().out)
    coming = found["periods"]["immediate_future"]["auroc"]
    assert found["headline"]["mean"] == pytest.approx(np.mean(coming[:10]))
    assert found["standard"]["headline"]["mean"] == pytest.approx(np.mean(coming[:8]))
    assert found["standard"]["means"]["immediate_future"] == pytest.approx(np.mean(coming[:8]))
    low, high = found["intervals"]["standard"]["headline"]["images"]
    assert low < found["standard"]["headline"]["mean"] < high
    assert run("report", str(extended), "-o", str(extended.parent / "page.html"), "--replicates", "20") == 0
    page = (extended.parent / "page.html").read_text()
    assert "Extended headline, timeline frontier 1" in page
    assert re.search(
        r"Standard headline, the published windows within the extended evaluation set, mean over 8: \d", page
    )


def test_a_submission_of_an_extended_timeline_is_outside_the_published_leaderboard(
    extended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(extended.parent / "ext.zip")
    (extended / "window_0" / "config.yaml").write_text("data:\n  init_args:\n    augmentation_factor: 4\n")
    assert run("submission", "make", str(extended), "-o", bundle) == 0
    assert run("submission", "verify", bundle, "--per-generator", "0") == 1
    assert "made on timeline frontier 1, outside the published leaderboard" in capsys.readouterr().out
    timeline = str(extended.parent / "frontier.yaml")
    assert run("submission", "verify", bundle, "--per-generator", "0", "--timeline", timeline) == 0
    assert "accepted on timeline frontier 1, which is outside the published leaderboard" in capsys.readouterr().out
