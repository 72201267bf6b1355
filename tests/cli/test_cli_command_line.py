from __future__ import annotations

import re
from dataclasses import fields

import pytest

from aigenbench.cli.command_line import SWITCHES, CommandLine, take_apart
from aigenbench.cli.training_help import training_help
from aigenbench.config.experiment import ExperimentInfo, SlidingWindows
from aigenbench.config.layer import SECTIONS
from aigenbench.errors import InputError


def test_arguments_are_sorted_wherever_they_stand():
    typed = "--trainer.max_epochs 3 --config a.yaml --model.model_name=RN50 --config=b.yaml --import m.py -c c.yaml"
    assert take_apart(typed.split()) == CommandLine(
        configs=["a.yaml", "b.yaml", "c.yaml"],
        imports=["m.py"],
        arguments=[("trainer.max_epochs", "3"), ("model.model_name", "RN50")],
    )


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [
        (["--trainer.devices", "-1"], "trainer.devices", "-1"),
        (["--trainer.callbacks+=A"], "trainer.callbacks+", "A"),
        (["--ckpt_path="], "ckpt_path", ""),
        (["--dataset_path", "a=b"], "dataset_path", "a=b"),
        (["--dataset_path=a=b"], "dataset_path", "a=b"),
    ],
)
def test_values(typed, key, value):
    assert take_apart(typed).arguments == [(key, value)]


def test_print_config_and_help_take_no_value():
    line = take_apart(["--print_config", "--help", "--model.model_name", "x"])
    assert line.print_config
    assert line.help == ""
    assert take_apart(["--model.help"]).help == "--model.help"
    assert take_apart(["--model.help", "my.Model"]).help == "--model.help=my.Model"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--trainr.x 1", "unknown argument --trainr.x; did you mean 'trainer'"),
        ("--conf a.yaml", "unknown argument --conf; did you mean 'config'"),
        ("--datasetpath a", "did you mean 'dataset_path'"),
        ("--trainer.max_epochs", "--trainer.max_epochs needs a value"),
        ("--trainer.max_epochs --model.model_name x", "--trainer.max_epochs needs a value"),
        ("--config", "--config needs a value"),
        ("stray", "unexpected 'stray'"),
        ("--model.model_name a b", "unexpected 'b'"),
        ("-x 3", "unexpected '-x'"),
        ("--", "unexpected '--'"),
        ("--zzz 1", "known are trainer, "),
    ],
)
def test_mistakes_are_told(typed, told):
    with pytest.raises(InputError, match=told.replace("+", r"\+")):
        take_apart(typed.split())


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
def test_the_help_page_speaks_of_every_section(subcommand):
    page = training_help(subcommand)
    assert page.startswith(f"usage: aigenbench {subcommand} ")
    for section in SECTIONS:
        assert f"--{section}" in page
    for key in [field.name for record in (ExperimentInfo, SlidingWindows) for field in fields(record)]:
        assert key in page
    for switch in SWITCHES:
        assert f"  --{switch} " in page
    assert max(map(len, page.splitlines())) <= 120


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
def test_each_help_page_shows_its_own_example(subcommand):
    examples = re.findall(r"(?m)^  aigenbench (\w+) ", training_help(subcommand))
    assert examples
    assert set(examples) == {subcommand}
