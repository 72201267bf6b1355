from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import types

import pytest

from aigenbench import __version__
from aigenbench.cli import main
from aigenbench.cli.main import COMMANDS, Command, dispatch
from aigenbench.errors import InputError

MADE = [Command("made", "made_command", "", training=True)]
TRAINING = ("torch", "torchvision", "lightning", "torchmetrics", "timm", "open_clip", "jsonargparse", "tensorboard")
ONCE = ("sklearn", "scipy", "pandas", "datasets", "matplotlib", "jinja2", "huggingface_hub", "transformers", "wandb")
HEAVY = (*TRAINING, *ONCE, "numpy", "pyarrow", "cv2", "PIL", "rich")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["fit", "--help"], 0),
        (["--version"], 0),
        (["fitt"], 2),
        (["fit", "--config", "nothing.yaml"], 2),
        (["fit", "--trainr.max_epochs", "3"], 2),
        (["fit", "--experiment_info.experiment_idd", "x"], 2),
        (["validate", "stray"], 2),
    ],
)
def test_what_needs_nothing_heavy_imports_nothing_heavy(arguments, code):
    program = (
        "import sys\nfrom aigenbench.cli import main\n"
        f"try:\n    code = main({arguments!r})\nexcept SystemExit as stop:\n    code = stop.code or 0\n"
        f"print([code, [m for m in {HEAVY!r} if m in sys.modules]])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"[{code}, []]"
    assert len(done.stderr.splitlines()) == (1 if code else 0)


def imported(program, names):
    program += f"\nimport sys; print([m for m in {names!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_a_look_at_the_data_imports_nothing_of_training(small_dataset):
    program = f"from aigenbench.cli import main; assert main(['data', 'windows', {str(small_dataset)!r}]) == 0"
    assert imported(program, (*TRAINING, *ONCE)) == "[]"


def test_training_imports_only_what_every_run_needs():
    # sklearn: subsets alone; models' sources: only the one that is asked for
    rare = (
        "timm",
        "open_clip",
        "sklearn",
        "pandas",
        "datasets",
        "jinja2",
        "transformers",
        "wandb",
    )
    assert imported("import aigenbench.engine.assembly.resolution, aigenbench.training.loop.commands", rare) == "[]"


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command.name} " in page
        assert command.summary in page


def test_no_command_shows_the_help_and_fails(capsys):
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_the_version_and_nothing_else(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(("typed", "told"), [("scor", "did you mean 'score'"), ("qqqq", "the commands are fit, ")])
def test_an_unknown_command_is_one_line(typed, told, capsys):
    assert main([typed]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"aigenbench: error: no command {typed!r}")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_commands_module_keeps_its_side(command):
    module = importlib.import_module(command.module)
    assert callable(module.run if command.training else module.register)


@pytest.mark.parametrize("command", [c.name for c in COMMANDS])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert not stop.value.code
    assert f"aigenbench {command}" in capsys.readouterr().out


def made(monkeypatch, **functions):
    module = types.ModuleType("made_command")
    for name, function in functions.items():
        setattr(module, name, function)
    monkeypatch.setitem(sys.modules, "made_command", module)


def test_a_light_command_registers_itself_and_its_code_is_returned(monkeypatch):
    def register(subparsers):
        parser = subparsers.add_parser("made")
        parser.add_argument("--number", type=int)
        parser.set_defaults(run=lambda arguments: arguments.number)

    made(monkeypatch, register=register)
    table = [Command("made", "made_command", "")]
    assert dispatch(["made", "--number", "7"], table) == 7
    for typed, told in [
        (["--numbr", "7"], "did you mean '--number'"),
        (["--num=7"], "--num"),
        (["--number=x"], "invalid int"),
    ]:
        with pytest.raises(InputError, match=told):
            dispatch(["made", *typed], table)


def test_a_training_command_gets_its_arguments_as_typed(monkeypatch):
    got = []
    made(monkeypatch, run=lambda argv, subcommand: got.append((argv, subcommand)) or 3)
    assert dispatch(["made", "--a", "b", "--help"], MADE) == 3
    assert got == [(["--a", "b", "--help"], "made")]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (InputError("two\nlines"), 2, "aigenbench: error: two lines\n"),
        (KeyboardInterrupt(), 130, "aigenbench: interrupted\n"),
    ],
)
def test_errors_become_a_line_and_a_code(error, code, told, monkeypatch, capsys):
    def fail(argv, subcommand):
        raise error

    made(monkeypatch, run=fail)
    assert main(["made"], MADE) == code
    assert capsys.readouterr().err == told


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    made(monkeypatch, run=lambda argv, subcommand: {}["x"])
    with pytest.raises(KeyError):
        main(["made"], MADE)


def test_a_reader_that_goes_away_is_no_error():
    program = "import sys; from aigenbench.cli import main; sys.exit(main(['--help']))"
    ours = subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ours.stdout.close()
    _, err = ours.communicate()
    assert ours.returncode == 141
    assert err == b""


def test_the_packages_records_are_lines_on_stderr(capsys):
    main(["--version"])
    main(["--version"])
    logging.getLogger("aigenbench.anything").warning("careful")
    logging.getLogger("aigenbench.anything").info("so far so good")
    assert capsys.readouterr().err == "aigenbench: warning: careful\naigenbench: so far so good\n"
