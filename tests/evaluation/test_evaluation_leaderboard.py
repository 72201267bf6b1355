from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation_honest import COLUMNS, PER_GENERATOR, write_honest

from aigenbench.errors import InputError
from aigenbench.evaluation.leaderboard.page import build_leaderboard, significance_groups
from aigenbench.evaluation.leaderboard.submission import make_submission
from aigenbench.evaluation.predictions import standing

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


def test_published_rows_stand_beside_the_benchmark_only(submissions: Path, tmp_path: Path) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries/good.zip").write_bytes((submissions / "good.zip").read_bytes())
    entries, _ = build_leaderboard(tmp_path / "entries", tmp_path / "site", PER_GENERATOR, replicates=5)
    assert entries[0].standing.kind == "partial"
    page = (tmp_path / "site/index.html").read_text()
    assert "DINOv2" not in page
    assert f"partial: 36 of 36 generators, {36 * PER_GENERATOR} fakes" in page
    assert "Published results</b> are not shown" in page


def test_a_folder_without_submissions_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no submission"):
        build_leaderboard(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    with pytest.raises(InputError, match="no folder"):
        build_leaderboard(tmp_path / "none", tmp_path / "site")
