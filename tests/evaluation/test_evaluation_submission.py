from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_honest import COLUMNS, PER_GENERATOR, write_honest

from aigenbench import archives
from aigenbench.errors import InputError
from aigenbench.evaluation.leaderboard.bundle import MANIFEST, predictions_name
from aigenbench.evaluation.leaderboard.submission import code_revision, make_submission
from aigenbench.evaluation.leaderboard.verify import Check, Verification, verify_submission
from aigenbench.evaluation.predictions.external import import_csv
from aigenbench.evaluation.predictions.record import Predictions, load_predictions, save_predictions

Contents = dict[str, bytes]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_honest(tmp_path_factory.mktemp("honest") / "experiment_honest")


@pytest.fixture(scope="module")
def honest(experiment: Path) -> Path:
    path = experiment.parent / "honest.zip"
    make_submission(experiment, path, {"name": "Honest", "licence": "MIT"}, revision="abc")
    return path


def verify(path: Path, **kwargs: Any) -> Verification:
    return verify_submission(path, PER_GENERATOR, **kwargs)


def unpack(path: Path) -> Contents:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, contents: Contents, fix_hashes: bool = True) -> Path:
    if fix_hashes:
        manifest = json.loads(contents[MANIFEST])
        manifest["files"] = {n: hashlib.sha256(d).hexdigest() for n, d in contents.items() if n != MANIFEST}
        contents = {**contents, MANIFEST: json.dumps(manifest).encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def changed(
    contents: Contents, tmp_path: Path, window: int | None, change: Callable[[Predictions], Predictions]
) -> None:
    """Change the predictions of one window, or of all, in place, with what follows from them left as it is."""
    for k in range(9) if window is None else (window,):
        (tmp_path / "p.npz").write_bytes(contents[predictions_name(k)])
        save_predictions(tmp_path / "p.npz", change(load_predictions(tmp_path / "p.npz")))
        contents[predictions_name(k)] = (tmp_path / "p.npz").read_bytes()


def raw(contents: Contents, window: int, **arrays: object) -> None:
    """Change arrays past the checks of saving."""
    with np.load(io.BytesIO(contents[predictions_name(window)])) as archive:
        found = {name: archive[name] for name in archive.files}
    target = io.BytesIO()
    np.savez(target, **{**found, **arrays})  # type: ignore[arg-type]
    contents[predictions_name(window)] = target.getvalue()


def edited(p: Predictions, **fused: Any) -> Predictions:
    both = {f"{prefix}_{name}": value for name, value in fused.items() for prefix in ("fused", "crop")}
    return replace(p, **both)


def flipped(p: Predictions) -> Predictions:
    logits = p.fused_logits.copy()  # type: ignore[union-attr]
    logits[p.fused_labels == 1] += 5
    return edited(p, logits=logits, scores=1 / (1 + np.exp(-logits)))


def reordered(p: Predictions) -> Predictions:
    order = np.arange(len(p))
    order[[0, 1]] = [1, 0]
    names = ("scores", "labels", "generator_ids", "identifiers", "losses", "logits")
    return replace(
        edited(p, **{n: getattr(p, f"fused_{n}")[order] for n in names}),
        identifier=p.identifier[order],
        pairing=p.pairing[order],
    )


def repaired(p: Predictions) -> Predictions:
    pairing = p.pairing.copy()
    reals = np.flatnonzero(pairing != -1)
    pairing[reals] = np.roll(pairing[reals], 1)
    return replace(p, pairing=pairing)


def relabelled(p: Predictions) -> Predictions:
    """A fake of one generator is called one of another and the reverse, pairing recomputed."""
    generators, pairing = p.fused_generator_ids.copy(), p.pairing.copy()
    a, b = np.flatnonzero(generators == 1)[0], np.flatnonzero(generators == 2)[0]
    generators[[a, b]] = [2, 1]
    reals = np.flatnonzero(pairing != -1).tolist()
    random.Random(1341).shuffle(reals)
    pairing[reals] = generators[p.fused_labels == 1]
    return replace(edited(p, generator_ids=generators), pairing=pairing)


def without_a_pair(p: Predictions) -> Predictions:
    keep = np.ones(len(p), bool)
    fake = np.flatnonzero(p.fused_generator_ids == 1)[0]
    real = np.flatnonzero(p.pairing == 1)[0]
    keep[[fake, real]] = False
    names = ("scores", "labels", "generator_ids", "identifiers", "losses", "logits")
    n = int(keep.sum())
    return replace(
        edited(p, **{name: getattr(p, f"fused_{name}")[keep] for name in names}),
        identifier=p.identifier[keep],
        pairing=p.pairing[keep],
        crop_to_image_index=np.arange(n),
    )


def of_window(c: Contents, t: Path, window: int | None, change: Callable[[Predictions], Predictions]) -> None:
    changed(c, t, window, change)


def claims(c: Contents, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads(c[MANIFEST])
    change(manifest)
    c[MANIFEST] = json.dumps(manifest).encode()


def drop(c: Contents, window: int) -> None:
    del c[predictions_name(window)]


def swap_windows(c: Contents) -> None:
    a, b = predictions_name(0), predictions_name(1)
    c[a], c[b] = c[b], c[a]


def set_next(m: dict[str, Any]) -> None:
    m["scores"]["periods"]["immediate_future"]["auroc"][8] = 0.99
    m["scores"]["headline"]["windows"] = 9


def copied_window(c: Contents, t: Path) -> None:
    (t / "first.npz").write_bytes(c[predictions_name(0)])
    first = load_predictions(t / "first.npz")
    changed(c, t, 1, lambda p: edited(p, scores=first.fused_scores, logits=first.fused_logits))


Tampering = Callable[[Contents, Path], None]
TAMPERINGS: dict[str, tuple[Tampering, str]] = {
    "better scores": (lambda c, t: of_window(c, t, 3, flipped), "submitted scores: scores"),
    "better claimed headline": (
        lambda c, t: claims(c, lambda m: m["scores"]["headline"].update(mean=0.99)),
        "scores.headline.mean is 0.99",
    ),
    "a ninth Next period": (lambda c, t: claims(c, set_next), "scores.headline.windows is 9"),
    "a missing window": (lambda c, t: drop(c, 8), "no validate predictions for window 8"),
    "a window left out in between": (lambda c, t: drop(c, 4), "window"),
    "swapped windows": (lambda c, t: swap_windows(c), "window_0 holds the predictions of window 1"),
    "a copied window": (copied_window, "windows 0 and 1 have the same predictions"),
    "images left out": (lambda c, t: of_window(c, t, None, without_a_pair), "expected 3 of each generator"),
    "images left out of one window": (lambda c, t: of_window(c, t, 2, without_a_pair), "differ in identifier"),
    "a doubled image": (
        lambda c, t: raw(c, 0, fused_identifiers=np.zeros(216, np.int64), crop_identifiers=np.zeros(216, np.int64)),
        "more than once in fused_identifiers",
    ),
    "another order": (lambda c, t: of_window(c, t, None, reordered), "the order of the images is not the protocol's"),
    "another pairing": (lambda c, t: of_window(c, t, None, repaired), "the pairing of reals with fakes is not"),
    "another fingerprint": (
        lambda c, t: of_window(c, t, None, lambda p: replace(p, protocol_fingerprint="0" * 16)),
        "is not that of the mandatory evaluation steps",
    ),
    "another timeline": (
        lambda c, t: of_window(c, t, None, lambda p: replace(p, windows_timeline=p.windows_timeline[::-1])),
        "the windows are not those of the timeline",
    ),
    "easier periods": (
        lambda c, t: of_window(
            c,
            t,
            3,
            lambda p: replace(
                p, trained_windows=p.windows_timeline[:4], next_generators=("FLUX 1 Dev",), earlier_generators=()
            ),
        ),
        "trained on other generators than those of the windows up to it",
    ),
    "off protocol": (
        lambda c, t: of_window(c, t, 4, lambda p: replace(p, off_protocol=("more data",))),
        "training windows: off protocol: more data",
    ),
    "too many copies": (
        lambda c, t: c.update({"config.yaml": b"data: [{augmentation_factor: 8}]"}),
        "augmentation_factor 8; at most 4 is allowed",
    ),
    "logits that contradict scores": (
        lambda c, t: of_window(c, t, 0, lambda p: edited(p, logits=-p.fused_logits)),  # type: ignore[operator]
        "scores and logits of window 0 differ",
    ),
    "not sliding windows": (
        lambda c, t: of_window(c, t, None, lambda p: replace(p, benchmark_type="none")),
        "the leaderboard follows the sliding windows",
    ),
    "NaN": (
        lambda c, t: raw(c, 5, fused_scores=np.full(216, np.nan, np.float32)),
        "216 of fused_scores are not in 0..1",
    ),
    "a pickled array": (lambda c, t: raw(c, 5, fused_scores=np.array([None] * 216)), "not an array of numbers or text"),
    "a foreign file": (lambda c, t: c.update({"run.sh": b"rm"}), "'run.sh' does not belong in a bundle"),
    "a name outside": (lambda c, t: c.update({"../x.txt": b"x"}), "'../x.txt' leaves the archive's folder"),
    "an absolute name": (lambda c, t: c.update({"/x.txt": b"x"}), "leaves the archive's folder"),
    "a stage that is a path": (lambda c, t: claims(c, lambda m: m.update(stage="../../x")), "unknown stage '../../x'"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_rejected(name: str, honest: Path, tmp_path: Path) -> None:
    tamper, message = TAMPERINGS[name]
    contents = unpack(honest)
    tamper(contents, tmp_path)
    found = verify(pack(tmp_path / "t.zip", contents))
    assert not found.accepted
    failed = [f"{check.name}: {check.found}" for check in found.checks if check.status == "failed"]
    assert any(message in line for line in failed), failed


def test_an_honest_bundle_is_accepted(honest: Path) -> None:
    found = verify(honest)
    assert [check for check in found.checks if check.status == "failed"] == []
    assert found.scores["headline"]["windows"] == 8
    by_name = {check.name: check for check in found.checks}
    assert by_name["mandatory steps"].found.endswith("JPEG qualities two_point")
    assert by_name["copies"].found == "augmentation_factor 4"
    assert by_name["labels"].status == by_name["card: name"].status == "declared"


def test_columns_check_labels(honest: Path, tmp_path: Path) -> None:
    checked = {c.name: c.status for c in verify(honest, columns=COLUMNS).checks}
    assert checked["labels"] == "ok"
    contents = unpack(honest)
    changed(contents, tmp_path, None, relabelled)
    tampered = pack(tmp_path / "t.zip", contents)
    failed = [c.found for c in verify(tampered, columns=COLUMNS).checks if c.status == "failed"]
    assert "the generators of the images are not those of the data set" in failed
    other = [*COLUMNS[1:], COLUMNS[0]]
    assert any("the images are not those" in c.found for c in verify(honest, columns=other).checks)


def test_labels_off_the_timeline_are_named(honest: Path) -> None:
    found = verify(honest, columns=[f"{name}x" if name else "" for name in COLUMNS])
    (labels,) = [check for check in found.checks if check.name == "labels"]
    assert labels.status == "failed"
    assert "none of the generators that the columns name is on the timeline: ADMx, BigGANx, CIPSx, ..." in labels.found
    assert "did you mean 'ADM'" in labels.found


def test_any_numbers_of_fakes_may_be_allowed(experiment: Path, tmp_path: Path) -> None:
    # another number of each generator: the reals beyond the balance are left out
    rows = [name for i, name in enumerate(COLUMNS) if name != "ADM" or i == COLUMNS.index("ADM")]
    lines = ["image_id,window,score"] + [
        f"{i},{k},{0.2 + 0.6 * bool(name) + 0.001 * ((7 * i + k) % 100)}"
        for k in range(9)
        for i, name in enumerate(rows)
    ]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    import_csv(tmp_path / "s.csv", rows, tmp_path / "uneven")
    make_submission(tmp_path / "uneven", tmp_path / "uneven.zip")

    def balance(per_generator: int | None) -> Check:
        checks = verify_submission(tmp_path / "uneven.zip", per_generator).checks
        return next(check for check in checks if check.name == "balance")

    assert balance(None).status == "ok"
    assert "1 to 3 of each generator" in balance(None).found
    assert balance(3).status == "failed"
    assert "1 fakes of 'ADM'; expected 3 of each generator" in balance(3).found


def test_made_up_data_stay_marked(experiment: Path, tmp_path: Path) -> None:
    shutil.copytree(experiment, tmp_path / "demo")
    (tmp_path / "demo/window_0/run.json").write_text('{"data": "synthetic"}')
    make_submission(tmp_path / "demo", tmp_path / "demo.zip")
    assert verify(tmp_path / "demo.zip").manifest["data"] == "synthetic"


def test_an_edited_file_does_not_fit_its_hash(honest: Path, tmp_path: Path) -> None:
    contents = unpack(honest)
    changed(contents, tmp_path, 3, flipped)
    found = verify(pack(tmp_path / "t.zip", contents, fix_hashes=False))
    assert "its SHA-256 differs" in found.checks[0].found


def test_a_bomb_is_not_unpacked(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("predictions/window_0.npz", bytes(5_000_000))
    monkeypatch.setattr(archives, "ALWAYS_READ", 4_000_000)
    assert "would unpack to 5000000 bytes" in verify(tmp_path / "t.zip").checks[0].found
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, bytes(17 * 2**20))
    monkeypatch.undo()
    assert "more than such a file needs" in verify(tmp_path / "t.zip").checks[0].found


def test_links_folders_and_doubled_names(tmp_path: Path) -> None:
    def first(*entries: zipfile.ZipInfo) -> str:
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            for entry in entries:
                archive.writestr(entry, "x")
        return verify(tmp_path / "t.zip").checks[0].found

    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    assert "is a link" in first(link)
    assert "is a folder" in first(zipfile.ZipInfo("folder/"))
    with pytest.warns(UserWarning, match="Duplicate"):
        assert "twice" in first(zipfile.ZipInfo("a"), zipfile.ZipInfo("a"))


@pytest.mark.parametrize("manifest", [b"", b"[]", b'{"schema": 1}', b"\xff", b"[" * 100_000])
def test_bad_manifests(manifest: bytes, honest: Path, tmp_path: Path) -> None:
    contents = {**unpack(honest), MANIFEST: manifest}
    found = verify(pack(tmp_path / "t.zip", contents, fix_hashes=False))
    assert not found.accepted
    assert MANIFEST in found.checks[0].found


def test_files_that_are_no_bundle(tmp_path: Path) -> None:
    assert "no such file" in verify(tmp_path / "none.zip").checks[0].found
    (tmp_path / "t.zip").write_bytes(b"text")
    assert "not a readable zip" in verify(tmp_path / "t.zip").checks[0].found


def test_bundles_are_the_same_bytes_each_time(experiment: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        make_submission(experiment, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_what_cannot_be_submitted(experiment: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'licence'"):
        make_submission(experiment, tmp_path / "a.zip", {"license": "MIT"})
    shutil.copytree(experiment, tmp_path / "partial")
    shutil.rmtree(tmp_path / "partial/window_3")
    with pytest.raises(InputError, match="only a finished experiment"):
        make_submission(tmp_path / "partial", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_the_code_revision(tmp_path: Path) -> None:
    assert code_revision(tmp_path) == ""
    git, revision = tmp_path / ".git", "ab" * 20
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text("[core]\nfsmonitor = touch ran\n")
    assert code_revision(tmp_path) == ""
    (git / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{'cd' * 20} refs/heads/old\n{revision} refs/heads/main\n"
    )
    (tmp_path / "inside").mkdir()
    assert code_revision(tmp_path / "inside") == revision
    (git / "refs" / "heads" / "main").write_text("ef" * 20 + "\n")
    assert code_revision(tmp_path) == "ef" * 20
    # a worktree
    (git / "worktrees" / "w").mkdir(parents=True)
    (git / "worktrees" / "w" / "commondir").write_text("../..\n")
    (git / "worktrees" / "w" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".git").write_text(f"gitdir: {git / 'worktrees' / 'w'}\n")
    assert code_revision(tmp_path / "w") == "ef" * 20
    for head in ("ref: ../../../../../../etc/passwd", revision + "-dirty", "\x1b[2J"):
        (git / "HEAD").write_text(head)
        assert code_revision(tmp_path) == ""
