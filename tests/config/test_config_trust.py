from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aigenbench.config import trust
from aigenbench.config.trust import is_own, local_modules, refuse_code, remember
from aigenbench.errors import InputError

OURS = {
    "model": {
        "class_path": "aigenbench.training.BaseDeepfakeDetectionModel",
        "init_args": {"optimizer": {"class_path": "torch.optim.SGD"}},
    },
    "trainer": {"strategy": "ddp", "callbacks": [], "plugins": None, "default_root_dir": "a/b.c"},
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def changed(**sections: Any) -> dict[str, Any]:
    return {**OURS, **sections}


def test_what_is_ours_lightnings_or_torchs_is_no_code() -> None:
    refuse_code(OURS, "config.yaml")
    # a detector's class that is installed, and what was typed
    refuse_code(changed(model={"class_path": "installed.Detector"}), "config.yaml")
    refuse_code(
        changed(model={"class_path": "mine.Detector", "init_args": {"net": {"class_path": "mine.Net"}}}),
        "c",
        ["a/mine.py"],
    )
    refuse_code(changed(imports=["mine.py"]), "config.yaml", ["mine.py"])


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"imports": ["a.py", "b"]}, "imports a.py, imports b; read that code, then say --trust-imports"),
        ({"metrics": {"m": "os.system"}}, "metrics.m os.system"),
        ({"model": {"class_path": "os.system"}}, None),
        ({"model": {"class_path": "x", "init_args": {"optimizer": "os.system"}}}, "model.optimizer os.system"),
        ({"data": {"class_path": "x", "init_args": {"a": [{"class_path": "subprocess.Popen"}]}}}, "data.init_args.a.0"),
        ({"model": {"init_args": {"model_args": {"trusted": True}}}}, "model.model_args.trusted"),
        ({"trainer": {"plugins": ["evil.Plugin"]}}, "trainer.plugins evil.Plugin"),
        ({"trainer": {"strategy": {"class_path": "evil.Strategy"}}}, "trainer.strategy evil.Strategy"),
        ({"trainer": {"callbacks": [{"class_path": "lightning.pytorch.callbacks.Timer"}]}}, "trainer.callbacks.0"),
    ],
)  # fmt: skip
def test_code_is_refused_by_name(sections: dict[str, Any], told: str | None) -> None:
    if told is None:
        # no detector's class, which resolving refuses: looking it up runs nothing
        refuse_code(changed(**sections), "config.yaml")
        return
    with pytest.raises(
        InputError, match=r"config\.yaml is not known to be of a run of yours, and names code"
    ) as caught:
        refuse_code(changed(**sections), "config.yaml")
    assert told in str(caught.value)


def test_a_class_in_the_current_folder_is_code() -> None:
    Path("evil_here.py").write_text("")
    with pytest.raises(InputError, match=r"model evil_here\.Detector"):
        refuse_code(changed(model={"class_path": "evil_here.Detector"}), "config.yaml")


def test_own_is_what_a_run_has_recorded(place: Path) -> None:
    assert not is_own("text", OURS)
    remember("text", OURS)
    remember("text", OURS)
    assert is_own("text", OURS)
    assert not is_own("text ", OURS)
    record = place / "state" / "aigenbench" / trust.RECORD
    assert len(record.read_text().splitlines()) == 1
    assert record.parent.stat().st_mode & 0o077 == 0


def test_the_same_text_in_a_folder_with_other_files_is_not_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = changed(imports=["mine.py"], model={"class_path": "beside.Detector"})
    Path("beside.py").write_text("")
    remember("text", values)
    assert is_own("text", values)
    theirs = place / "theirs"
    theirs.mkdir()
    (theirs / "mine.py").write_text("")
    monkeypatch.chdir(theirs)
    assert not is_own("text", values)


@pytest.mark.parametrize("home", ["state", "/proc/nothing"])
def test_without_a_home_nothing_is_own_and_nothing_fails(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", home)
    remember("text", OURS)
    assert not is_own("text", OURS)
    assert not list(Path().iterdir())


def test_the_modules_of_a_configuration() -> None:
    assert local_modules(changed(metrics={"m": "mine.brier"})) == ["aigenbench", "torch", "mine"]
