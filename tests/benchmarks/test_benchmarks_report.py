from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    """The scripts' own modules, importable as they are for the scripts."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import claims
    import report

    yield claims, report
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def measured(claims, name="one", value=2.0):
    results = claims.Results(name, f"Title {name}")
    results.claim("fast", [value, 1.0, 3.0], "s", "<= 2")
    results.claim("more", [5.0], "x", ">= 7.5")
    results.claim("aimless", 1234.5, "")
    results.table("Parts", ["part", "ms"], [["sort", 1.2345]])
    results.plots["Curve"] = "curve.png"
    return results


def test_results_are_read_as_they_were_written(modules, tmp_path, capsys):
    claims, _ = modules
    results = measured(claims)
    assert [claim.met for claim in results.claims] == [True, False, None]
    assert (results.claims[0].value, results.claims[0].spread) == (2.0, (1.0, 3.0))
    results.finish(tmp_path / "results" / "one.json")
    assert claims.Results.read(tmp_path / "results" / "one.json") == results
    assert "| fast | 2 s | 1 to 3 | <= 2 | yes |" in capsys.readouterr().out
    written = json.loads((tmp_path / "results" / "one.json").read_text())
    assert written["claims"][1] == {"name": "more", "value": 5.0, "spread": [5.0, 5.0], "goal": ">= 7.5", "unit": "x"}


def test_the_page_holds_every_claim_table_and_plot(modules):
    claims, report = modules
    page = report.page([measured(claims), measured(claims, "two")])
    for line in (
        "| [Title one](#title-one) | more | 5 x | 5 to 5 | >= 7.5 | **no** |",
        "| [Title two](#title-two) | aimless | 1,234 | 1,234 to 1,234 |  |  |",
        "| sort | 1.23 |",
        "![Curve](images/curve.png)",
    ):
        assert line in page
    assert page.count("| processor |") == 1


def test_results_of_another_form_are_named_and_left_out(modules, tmp_path, capsys, monkeypatch):
    claims, report = modules
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    measured(claims).finish(tmp_path / "good.json")
    (tmp_path / "other.json").write_text('{"ratios": {"a": [1, 2]}}')
    assert [section.script for section in report.read_results()] == ["one"]
    assert "other.json: not in the form" in capsys.readouterr().err


def test_a_script_that_fails_leaves_its_last_results(modules, tmp_path, monkeypatch, capfd):
    claims, report = modules
    monkeypatch.setattr(report, "HERE", tmp_path)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    script = 'if __name__ == "__main__":\n    import sys, pathlib\n    {}  # --json\n'
    (tmp_path / "broken.py").write_text(script.format("sys.exit(3)"))
    (tmp_path / "well.py").write_text(script.format("pathlib.Path(sys.argv[2]).write_text('{}')"))
    (tmp_path / "module.py").write_text("X = 1\n")
    measured(claims).finish(tmp_path / "results" / "broken.json")
    before = (tmp_path / "results" / "broken.json").read_text()
    assert report.scripts() == ["broken", "well"]
    assert [report.run(name) for name in ("broken", "well")] == [False, True]
    assert (tmp_path / "results" / "broken.json").read_text() == before
    assert (tmp_path / "results" / "well.json").read_text() == "{}"
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["broken.json", "well.json"]


def test_the_machine_is_described_without_names_of_hosts(modules):
    import platform

    claims, _ = modules
    described = claims.describe_machine()
    assert {"processor", "cores used", "memory", "system", "Python", "torch"} <= set(described)
    assert platform.node() not in " ".join(described.values()).split()
