from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_honest import COLUMNS, PER_GENERATOR, write_honest

from aigenbench.errors import InputError
from aigenbench.evaluation.leaderboard.page import Entry, build_leaderboard, significance_groups
from aigenbench.evaluation.leaderboard.submission import make_submission
from aigenbench.evaluation.predictions import standing
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.record import Predictions, save_predictions

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submissions")
    for name, separation, seed in (("good", 3.0, 0), ("twin", 3.0, 1), ("weak", 0.5, 2)):
        made = write_honest(folder / "work" / name, separation, seed)
        card = {"name": EVIL if name == "weak" else name, "parameters": 1234567}
        make_submission(made, folder / f"{name}.zip", card)
    (folder / "broken.zip").write_bytes(b"text")
    return folder


def test_the_page_ranks_groups_and_shows_published_rows(
    submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "PER_GENERATOR", PER_GENERATOR)
    entries, rejected = build_leaderboard(submissions, tmp_path / "site", PER_GENERATOR, COLUMNS, replicates=200)
    assert {e.title for e in entries[:2]} == {"good", "twin"}
    assert significance_groups(entries) == [1, 1, 2]
    assert list(rejected) == ["broken.zip"]
    page = (tmp_path / "site/index.html").read_text()
    for text in ("DINOv2 ViT-L/14", "CLIP ViT-L/14", "CLIP ResNet-50", "other random draws", "1,234,567", "broken.zip"):
        assert text in page
    assert EVIL not in page
    assert "http://" not in page
    assert "https://" not in page
    assert page.index(">good<") < page.index("DINOv2 ViT-L/14") < page.index("&lt;script&gt;alert(1)")
    records = json.loads((tmp_path / "site/leaderboard.json").read_text())
    assert [r["group"] for r in records] == [1, 1, 2]
    assert records[0]["interval"][0] < records[0]["headline"]["mean"] < records[0]["interval"][1]


def test_a_detector_that_the_protocol_has_not_trained_is_shown_apart(
    submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, entries = write_honest(tmp_path / "work", 4.0), tmp_path / "entries"
    one, two = (load_experiment(made).windows[k] for k in (0, 1))

    def board(first: Predictions, knowledge: str | None) -> tuple[list[Entry], dict[str, str]]:
        for k in range(9):
            p = replace(one if k else first, window=k, knowledge=knowledge)
            save_predictions(made / f"window_{k}" / "predictions_validate_all.npz", p)
        make_submission(made, entries / "theirs.zip", {"name": "theirs"})
        return build_leaderboard(entries, tmp_path / "site", PER_GENERATOR, COLUMNS, replicates=20)

    entries.mkdir()
    (entries / "good.zip").write_bytes((submissions / "good.zip").read_bytes())
    monkeypatch.setattr(standing, "PER_GENERATOR", PER_GENERATOR)
    # as an entry of the protocol's it is refused; and windows that differ are not of one detector
    assert "have the same predictions" in board(one, None)[1]["theirs.zip"]
    assert "have different predictions" in board(two, "unknown")[1]["theirs.zip"]
    found, rejected = board(one, "unknown")
    assert rejected == {}
    # the better one stands below, in no group
    assert [entry.title for entry in found] == ["good", "theirs"]
    assert found[1].headline > found[0].headline
    records = json.loads((tmp_path / "site/leaderboard.json").read_text())
    assert [(r["group"], r.get("foreign")) for r in records] == [(1, None), (None, "unknown")]
    page = (tmp_path / "site/index.html").read_text()
    assert (
        page.index("DINOv2 ViT-L/14") < page.index("Not trained by the protocol: mean AUROC") < page.index(">theirs<")
    )


def test_published_rows_stand_beside_the_benchmark_only(submissions: Path, tmp_path: Path) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries/good.zip").write_bytes((submissions / "good.zip").read_bytes())
    entries, _ = build_leaderboard(tmp_path / "entries", tmp_path / "site", PER_GENERATOR, replicates=5)
    assert entries[0].standing.kind == "partial"
    page = (tmp_path / "site/index.html").read_text()
    assert "DINOv2" not in page
    assert f"partial: 36 of 36 generators, {36 * PER_GENERATOR} fakes" in page
    assert "Published results</b> are not shown" in page


def test_copies_of_the_data_are_compared_on_the_images_they_share(tmp_path: Path) -> None:
    names = [f"image {row}" for row in range(len(COLUMNS))]
    reals = [row for row, name in enumerate(COLUMNS) if not name]
    turned, foreign = list(names), [f"other {name}" for name in names]
    for row, other in zip(reals, reals[1:] + reals[:1], strict=True):
        turned[row] = names[other]
    # one real is a spare
    turned[reals[0]] = "spare"
    for name, of, separation in (
        ("one", names, 3.0),
        ("twin", turned, 3.0),
        ("weak", turned, 0.2),
        ("else", foreign, 3.0),
    ):
        made = write_honest(tmp_path / "work" / name, separation, len(name), of)
        make_submission(made, tmp_path / "entries" / f"{name}.zip", {"name": name})
    entries, rejected = build_leaderboard(tmp_path / "entries", tmp_path / "site", PER_GENERATOR, replicates=100)
    assert rejected == {"else.zip": "evaluated on other images than 2 others are"}
    assert {entry.title for entry in entries[:2]} == {"one", "twin"}
    assert significance_groups(entries) == [1, 1, 2]
    assert "compared on the images that both hold" in (tmp_path / "site/index.html").read_text()


def test_a_folder_without_submissions_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no submission"):
        build_leaderboard(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    with pytest.raises(InputError, match="no folder"):
        build_leaderboard(tmp_path / "none", tmp_path / "site")
