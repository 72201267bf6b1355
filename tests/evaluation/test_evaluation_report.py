from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluation_made_up import made_up

from aigenbench.config.folder import RUN_FILE
from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.chart import Cell, Chart, Series, Table, nice_ticks
from aigenbench.evaluation.drawing.svg import svg
from aigenbench.evaluation.metrics.mistakes import confident_mistakes, gallery_window, shrink
from aigenbench.evaluation.predictions.experiment import assemble
from aigenbench.evaluation.report.charts import crowded, period_curves, window_label
from aigenbench.evaluation.report.export import as_csv, as_latex, export
from aigenbench.evaluation.report.page import render
from aigenbench.evaluation.report.pages import resource
from aigenbench.evaluation.report.records import times_table, versions_table
from aigenbench.evaluation.report.results import ExperimentResults, load_run, make_run
from aigenbench.evaluation.report.tables import heat_map, results_table
from aigenbench.evaluation.report.together import put_together
from aigenbench.evaluation.report.view import make_view
from aigenbench.evaluation.statistics.uncertainty import Effort
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.protocol.windows import generator_windows

EFFORT = Effort(50, 10)
EVIL = '<script>alert("x")</script>&$_{}%'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def run(
    name: str = "quick", windows: tuple[tuple[str, ...], ...] = (("A", "B"), ("C", "D"), ("E",)), **kwargs: float
) -> ExperimentResults:
    predictions = {k: made_up(20, windows, k, **kwargs) for k in range(len(windows))}  # type: ignore[arg-type]
    return make_run(assemble(name, "validate", predictions, name), {}, "", EFFORT)


@pytest.fixture(scope="module")
def page() -> str:
    return render([make_view(run())])


class Outline(HTMLParser):
    """Tags that stand open, ids and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [values[a] or "" for a in ("src", "href") if a in values]
        if tag not in ("meta", "link", "input", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert len(set(outline.ids)) == len(outline.ids)
    for address in outline.addresses:
        assert address.startswith(("data:", "#"))
        if address.startswith("#"):
            assert address[1:] in outline.ids
    assert "http://" not in page
    assert "https://" not in page


def test_the_page_shows_values_intervals_and_baselines(page: str) -> None:
    assert "0123456789abcdef" in page
    assert "own data: 5 generators, 100 fakes" in page
    assert "DINOv2" not in page
    assert "Published results are not shown" in page
    assert re.search(r"Ranks an unseen fake above a real in \d\d of 100 pairs \[\d\d, \d\d\]; chance is 50\.", page)
    assert re.search(r'<div class="number">\d\d\.\d\d<small>', page)
    assert page.count('class="panel w') == 3


def test_names_full_of_html_are_shown_as_they_are() -> None:
    page = render([make_view(run(EVIL, ((EVIL, "B"), ("C",))))])
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    outline = Outline()
    outline.feed(page)
    assert outline.open == []


def test_runs_stand_side_by_side() -> None:
    page = render([make_view(run("a", separation=3.0), 0), make_view(run("b"), 1)])
    assert "Model against model: paired differences of the headline" in page
    assert 'aria-label="Differences of Next-period AUROC between models"' in page
    assert 'id="run1-w0"' in page
    other = replace(run("b").experiment.windows[0], protocol_fingerprint="f" * 16)
    apart = make_run(assemble("b", "validate", {0: other}, "b"), {}, "", EFFORT)
    page = render([make_view(run("a"), 0), make_view(apart, 1)])
    assert "No paired differences: a and b have protocol fingerprints" in page


def test_a_partial_experiment_is_reported_with_a_note() -> None:
    e = assemble("e", "validate", {1: made_up(window=1)}, "e")
    page = render([make_view(make_run(e, {}, "", EFFORT))])
    assert "no validate predictions for window 0, 2 of 0..2" in page


@pytest.mark.parametrize("scores", [np.full(200, 0.5), np.tile([0.0, 1.0], 100)])
def test_constant_and_extreme_scores_are_reported(scores: np.ndarray) -> None:
    windows = {
        k: replace(made_up(window=k), fused_logits=None, crop_logits=None, fused_scores=scores.astype(np.float32))
        for k in range(3)
    }
    assert "AUROC" in render([make_view(make_run(assemble("e", "validate", windows, "e"), {}, "", EFFORT))])


def test_one_class_only_in_a_period() -> None:
    p = made_up()
    only = replace(p, windows_timeline=(("A",), ()))
    page = render([make_view(make_run(assemble("e", "validate", {0: only}, "e"), {}, "", EFFORT))])
    assert '<div class="number">-</div>' in page


def test_the_gallery_holds_the_most_confident_mistakes() -> None:
    e = run(separation=0.1).experiment
    assert gallery_window(e) == 1
    reals, fakes = confident_mistakes(e, 1, lambda image_id: b"%d" % image_id, 5)
    p = e.windows[1]
    wrong = [s for s, real in zip(p.fused_scores, p.pairing == 5, strict=True) if real and s > 0.5]
    assert [m.score for m in reals] == pytest.approx(sorted(wrong, reverse=True)[:5])
    assert {m.generator for m in fakes} == {"E"}
    assert fakes == sorted(fakes, key=lambda m: m.score)
    assert reals[0].picture.startswith("data:image/jpeg;base64,")
    assert confident_mistakes(e, 1)[0][0].picture == ""


def test_classes_and_breakdowns_are_shown_where_known() -> None:
    windows = {}
    for k in range(3):
        p = made_up(window=k)
        windows[k] = replace(p, fused_multiclass_predictions=np.eye(6, dtype=np.float32)[p.fused_generator_ids])
    made = make_run(assemble("e", "validate", windows, "e"), {}, "", EFFORT)
    assert made.scores["multiclass"]["class_accuracy"] == [1.0, 1.0, 1.0]
    columns = {"origin_dataset": np.full(1000, EVIL), "width": np.full(1000, 512), "height": np.full(1000, 512)}
    page = render([make_view(made, 0, None, columns)])
    for text in ("Naming the generator", "False positives (%) by origin of the real", "By image size after window 1"):
        assert text in page
    assert "<script>alert" not in page


def test_thumbnails_are_small_jpeg_files() -> None:
    small = shrink(np.zeros((1000, 500, 3), np.uint8), 100)
    assert small.startswith(b"\xff\xd8")
    assert len(small) < 3000


def test_records_are_summed_and_listed() -> None:
    records = {
        0: {
            "started": "2026-01-02T03:04:05+00:00",
            "seconds": 10.0,
            "budget": {"training": {"flops": 4_000_000, "images": 8}, "embedding": {"flops": 1_000_000}},
            "packages": {"torch": "2.8"},
        },
        1: {
            "started": "2026-01-02T04:04:05+00:00",
            "seconds": 20.5,
            "budget": {"training": {"flops": 7_000_000, "joules": 1.0}, "embedding": {"flops": 0}},
            "packages": {"torch": "2.9"},
        },
    }
    times, versions = times_table(records), versions_table(records)
    assert times.header == ("Window", "Started", "Training (s)", "FLOPs", "Samples")
    assert [cell.text for cell in times.rows[0]] == ["0", "2026-01-02 03:04:05", "10.0", "5 M", "8"]
    assert [cell.value for cell in times.rows[-1][2:]] == [30.5, 12_000_000, None], "absent where a window is silent"
    assert [[cell.text for cell in row] for row in versions.rows] == [["torch", "2.8, then 2.9"]]
    assert times_table({}).rows == versions_table({}).rows == ()
    assert times_table({0: {"seconds": 1.0}, 1: {}}).rows[-1][1].text == "-"


def test_records_and_configuration_are_read(tmp_path: Path) -> None:
    from evaluation_made_up import write_experiment

    folder = write_experiment(tmp_path / "experiment_x")
    (folder / "window_0" / RUN_FILE).write_text('{"device": "cpu", "packages": {"torch": "2.9"}}')
    (folder / "window_0/config.yaml").write_text("a: <b>\n")
    page = render([make_view(load_run(folder, effort=EFFORT))])
    assert "a: &lt;b&gt;" in page
    assert re.search(r"<td[^>]*>2\.9</td>", page)
    (folder / "window_0" / RUN_FILE).write_text("[")
    with pytest.raises(InputError, match=r"run.json is not readable JSON"):
        load_run(folder, effort=EFFORT)


def test_exports(tmp_path: Path) -> None:
    view = make_view(run())
    written = export(tmp_path, [replace(view, windows=view.windows[:1])], formats=("pdf",))
    names = {path.name for path in written}
    assert {"headline.csv", "headline.tex", "results.csv", "generators.csv", "curves.pdf", "roc_window_0.pdf"} <= names
    assert {"generators.pdf", "transfer.csv", "over_time.csv", "drops.csv", "calibration.csv"} <= names
    assert all(path.stat().st_size > 50 for path in written)
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()))
    assert float(rows[0]["Next (0..1)"]) == view.run.scores["periods"]["immediate_future"]["auroc"][0]
    ends = [float(rows[0][f"Next, {end} end of 95 % (0..1)"]) for end in ("lower", "upper")]
    assert ends == view.run.bounds["periods"]["immediate_future"]["auroc"][0]
    assert rows[0]["Next, pairs"] == "40"
    assert rows[2]["Next (0..1)"] == ""


def test_every_exported_share_is_a_fraction_and_says_so(tmp_path: Path) -> None:
    view = make_view(run())
    export(tmp_path, [replace(view, windows=view.windows[:1])], formats=("png",))
    for path in sorted(tmp_path.glob("*.csv")):
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            for title, text in row.items():
                assert "%" not in title.replace("95 %", "")
                assert "points" not in title
                if title.endswith("(0..1)") and text:
                    assert -1 <= float(text) <= 1, (path.name, title, text)


def test_what_runs_have_in_common_is_exported_too(tmp_path: Path) -> None:
    views = [replace(make_view(run(name), i), windows=()) for i, name in enumerate("ab")]
    written = {str(path.relative_to(tmp_path)) for path in export(tmp_path, views, formats=("png",))}
    assert {"headline.csv", "comparison.csv", "comparison.tex", "next_period.png", "run1/results.csv"} <= written
    assert "differences.png" in written


def test_cells_cannot_leave_their_format() -> None:
    table = Table("t", "T", ("Name", "x"), ((Cell("=1+1"), Cell("50.00", 0.5)), (Cell("50_% & more"), Cell("-"))))
    assert as_csv(table) == "Name,x\n'=1+1,0.5\n50_% & more,\n"
    assert r"50\_\% \& more & -- \\" in as_latex(table)


def test_ticks_are_round() -> None:
    assert nice_ticks(50, 100) == ((50, "50"), (60, "60"), (70, "70"), (80, "80"), (90, "90"), (100, "100"))
    assert [label for _, label in nice_ticks(0, 0.5)] == ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]


def test_lines_break_where_values_are_unknown() -> None:
    series = Series("s", (0, 1, 2, 3), (1.0, None, 2.0, 3.0), "growing", markers=True)
    drawn = svg(Chart("c", "T", "x", "y", (series,), (0, 3), (0, 3), ((0.0, "0"),), ((0.0, "0"),)))
    assert drawn.count("<polyline") == 2
    assert drawn.count("<circle") == 3


def drawn(n: int, low: float, high: float, few: bool = False) -> Series:
    return Series(f"s{n}", (0, 1), (50.0, 60.0), f"run{n}", (low, None), (high, None), few=(few, False))


def test_bands_that_would_hide_each_other_are_whiskers() -> None:
    apart = [drawn(0, 10, 20), drawn(1, 15, 30), drawn(2, 25, 40)]
    assert not crowded(apart)
    assert crowded([drawn(0, 10, 26), *apart[1:]])
    assert crowded([drawn(0, 10, 20, few=True)])
    chart = replace(period_curves(run(separation=0.1)), whiskers=True)
    text = svg(chart)
    assert "<polygon" not in text
    assert text.count('class="whisker') == 8
    few = [replace(s, few=[True] * 3) if s.role != "guide" else s for s in chart.series]
    assert svg(replace(chart, series=tuple(few))).count(" few") == 8


def test_the_axis_tells_dates_and_names_and_chance_is_in_sight() -> None:
    chart = period_curves(run(windows=(("CycleGAN", "ProGAN"), ("DALL-E 3", "A"), ("B",)), separation=9.0))
    assert [label.split("\n")[:2] for _, label in chart.x_ticks] == [["0", "2017-10"], ["1", "2023-09"], ["2", ""]]
    assert "CycleGAN, ProGAN" in chart.x_ticks[0][1]
    assert chart.y_range[0] <= 45
    text = svg(chart)
    assert ">chance</text>" in text
    assert 'class="tick year"' in text
    assert window_label(3, ("FaceSynthetics", "LaMa", "Stable Diffusion 1.4", "B", "C"), 9).split("\n")[2:] == [
        "FaceSynthet…",
        "LaMa, SD",
        "1.4, B, C",
    ]


def test_cells_of_few_pairs_are_greyed_and_counts_stand_beside_numbers() -> None:
    made = run()
    table = results_table(made)
    assert [cell.count for cell in table.rows[0][1:4]] == [40, 40, 80]
    assert table.rows[1][2].few
    assert not table.rows[1][1].few
    page = render([make_view(made)])
    assert '<span class="ci few">' in page
    assert '<span class="n few">20 pairs</span>' in page
    assert '<span class="n few">≥ 20 pairs</span>' in page


def test_the_heat_map_diverges_at_chance() -> None:
    heat = heat_map(run(separation=0.01))
    cells = [cell for row in heat.rows for cell in row[3:] if cell.shade is not None]
    assert all(cell.shade == pytest.approx(2 * float(cell.value) - 1) for cell in cells)
    assert any(cell.shade < 0 for cell in cells)
    assert [row[2].value for row in heat.rows] == [20] * 5
    page = render([make_view(run(separation=0.01))])
    assert re.search(r'class="(after|before) below" style="--s:0\.\d\d"', page)
    assert "50: chance" in page


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_is_enough(scheme: int) -> None:
    parts = str(resource("style.css")).split("@media (prefers-color-scheme: dark)")
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", parts[scheme].partition("* { box-sizing")[0]))
    for text in ("ink", "soft", "few", "accent", "good", "warn", "next-text"):
        for ground in ("paper", "ground"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for cell in ("heat0", "heat1", "heat2"):
        assert contrast(colours["ink"], colours[cell]) >= 4.5
    for line in ("growing", "next", "whole", "real", *(f"run{i}" for i in range(6))):
        assert contrast(colours[line], colours["paper"]) >= 3, line
    assert contrast(colours["paper"], colours["accent"]) >= 4.5


def test_two_models_of_two_seeds_are_two_rows_and_one_difference() -> None:
    def trained(name: str, seed: int, width: int, separation: float) -> ExperimentResults:
        predictions = {k: made_up(20, window=k, seed=seed, separation=separation) for k in range(3)}
        config = f"seed_everything: {seed}\nmodel: {{width: {width}}}\n"
        return make_run(assemble(name, "validate", predictions, name), {}, config, EFFORT)

    recipes = (
        ("wide_seed1", 1, 9, 3.0),
        ("slim_seed1", 1, 5, 0.8),
        ("wide_seed2", 2, 9, 3.0),
        ("slim_seed2", 2, 5, 0.8),
    )
    views = [make_view(trained(*recipe), i) for i, recipe in enumerate(recipes)]
    together = put_together(views)
    assert [(m.name, len(m.runs)) for m in together.models] == [("wide", 2), ("slim", 2)]
    assert [row[0].text for row in together.headline.rows] == ["wide", "slim"]
    means = [v.run.scores["headline"]["mean"] for v in views]
    assert together.headline.rows[0][2].value == pytest.approx((means[0] + means[2]) / 2)
    assert together.comparison
    (row,) = together.comparison.rows
    assert row[0].text == "wide - slim"
    assert row[1].value == pytest.approx((means[0] + means[2] - means[1] - means[3]) / 2)
    assert row[-1].text == "wide is better"
    assert together.forest
    assert together.forest.rows[0].outer
    assert together.runs
    assert len(together.runs.rows) == 6
    page = render(views, together)
    assert page.count('<div class="head">') == 2
    assert page.count('<details class="run">') == 4
    assert "Detectors: wide, slim" in page


PROBE = """<script>
const table = document.querySelector('table.heat');
const column = () => [...table.tBodies[0].rows].map((r) => Number(r.cells[3].dataset.value));
document.querySelectorAll('details').forEach((d) => { d.open = true; });
const isFalling = (v) => v.every((x, i) => i === 0 || v[i - 1] >= x);
const before = [...table.tBodies[0].rows].map((r) => r.cells[0].textContent).join();
const button = table.querySelectorAll('thead th')[3].querySelector('button');
button.click(); const falls = isFalling(column());
button.click(); const rises = isFalling(column().reverse());
button.click(); const back = before === [...table.tBodies[0].rows].map((r) => r.cells[0].textContent).join();
const shown = () => [...document.querySelectorAll('.panel')].map((p) => getComputedStyle(p).display !== 'none').join();
const first = shown(); document.querySelector('label[for=run0-w0]').click(); const second = shown();
const mark = document.querySelector('.mark'); mark.dispatchEvent(new Event('pointerenter'));
const tip = document.getElementById('tip');
const wide = document.documentElement.scrollWidth <= innerWidth;
const told = !tip.hidden && tip.textContent.length > 5;
const past = [...document.querySelectorAll('main *')].filter((e) =>
  e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll'));
const fits = (t) => t.scrollWidth <= t.closest('.scroll').clientWidth + 1;
const over = [...document.querySelectorAll('table')].filter((t) => !fits(t)).map((t) => t.dataset.name).join();
const levels = [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]));
const headed = levels[0] === 1 && levels.every((l, i) => i === 0 || (l > 1 && l - levels[i - 1] < 2));
const seen = {falls, rises, back, first, second, told, wide, width: innerWidth, past: past.length, over, headed};
parent.postMessage(JSON.stringify(seen), '*');
</script>"""


@pytest.fixture(scope="module")
def large_page() -> str:
    """Two runs over the whole timeline that differ in their seed, with everything a page can hold."""
    windows = generator_windows(PUBLISHED, 4)
    views = []
    for i in range(2):
        predictions = {
            k: replace(p, fused_multiclass_predictions=np.eye(37, dtype=np.float32)[p.fused_generator_ids])
            for k in range(9)
            if (p := made_up(8, windows, k, seed=i))
        }
        records = {k: {"started": "2026-01-01T00:00:00+00:00", "seconds": 9.5, "python": "3.11"} for k in range(9)}
        experiment = assemble(f"seed_{i}", "validate", predictions, "e")
        run = make_run(experiment, records, f"seed_everything: {i}\nmodel: {{}}\n", EFFORT)
        n = 3 * 576 + 2
        columns = {"origin_dataset": np.full(n, "a long name of an origin"), "width": np.full(n, 512)}
        columns["height"] = columns["width"]
        views.append(make_view(run, i, lambda _: shrink(np.zeros((9, 9, 3), np.uint8)), columns))
    return render(views, put_together(views))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["page", "large_page"])
def test_in_a_browser(name: str, width: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page: str = request.getfixturevalue(name)
    panels = page.count('class="panel w')
    probed = page.replace("</body>", PROBE + "</body>")
    (tmp_path / "page.html").write_text(probed, encoding="utf-8")
    # a frame can be as narrow as a phone, a window cannot
    frame = f'<iframe src="page.html" style="width: {width}px; height: 900px; border: 0"></iframe>'
    (tmp_path / "frame.html").write_text(
        f"<title>none</title><script>onmessage = (e) => {{ document.title = e.data; }}</script>{frame}"
    )
    done = subprocess.run(
        [
            str(CHROMIUM),
            *(
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--enable-logging=stderr",
            ),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"),
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,900",
            "--virtual-time-budget=3000",
            (tmp_path / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    a_run = panels // page.count('class="chooser"')
    # of each run the last window with a Next period is shown; then of the first run another
    chosen = [[i % a_run == a_run - 2 for i in range(panels)], [i % a_run == a_run - 2 for i in range(panels)]]
    chosen[1][:a_run] = [True] + [False] * (a_run - 1)
    chosen = [json.dumps(",".join(str(shown).lower() for shown in shows)) for shows in chosen]
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title
    assert title[1] == (
        f'{{"falls":true,"rises":true,"back":true,"first":{chosen[0]},"second":{chosen[1]},'
        f'"told":true,"wide":true,"width":{width},"past":0,"over":"","headed":true}}'
    )
