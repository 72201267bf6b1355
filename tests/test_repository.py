"""The files around the code say what is so."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

import aigenbench

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("tests/golden/*.md"),
    ROOT / "benchmarks" / "README.md",
]
WITHOUT_IMPORT = {"tensorboard": "SummaryWriter", "wandb": "WandbLogger"}
"""What Lightning imports for us, and the name that shows that we ask for it."""


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def loaded(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    # YAML 1.1 reads the key `on` as true
    return {"on" if key is True else key: value for key, value in content.items()}


def targets() -> set[str]:
    return set(re.findall(r"(?m)^([\w.-]+):", text("Makefile")))


def make_targets_of(commands: str) -> list[str]:
    words = [word for line in re.findall(r"(?m)^\s*make (.+)$", commands) for word in line.split()]
    return [word for word in words if "=" not in word and not word.startswith("-")]


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in loaded(workflow)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_whole(workflow: Path) -> None:
    content = loaded(workflow)
    assert {"pull_request", "push"} <= set(content["on"])
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        assert job["runs-on"]
        used = set(re.findall(r"\$\{\{ matrix\.(\w+) \}\}", yaml.safe_dump(job)))
        assert used <= set(job.get("strategy", {}).get("matrix", {}))
        for step in job["steps"]:
            assert set(step) <= {"name", "uses", "with", "run", "if"}
            assert ("uses" in step) != ("run" in step)
            assert "@v" in step.get("uses", "@v")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_workflows_and_ci_call_targets_that_there_are() -> None:
    commands = "\n".join([text(".ci/run"), *(step.get("run", "") for path in WORKFLOWS for step in steps(path))])
    called = set(make_targets_of(commands))
    assert called >= {"check", "test", "test-slow", "lowest"}
    assert called <= targets()
    subprocess.run(["make", "--dry-run", *sorted(called)], cwd=ROOT, check=True, capture_output=True)


def test_workflows_call_files_and_commands_that_there_are() -> None:
    from aigenbench.cli.main import COMMANDS

    commands = "\n".join(step.get("run", "") for path in WORKFLOWS for step in steps(path))
    assert all((ROOT / path).exists() for path in re.findall(r"\b(tests/[\w/.]+)", commands))
    assert set(re.findall(r"aigenbench ([a-z][\w-]*)", commands)) <= {command.name for command in COMMANDS}


def test_every_python_from_the_lowest_on_is_tried() -> None:
    (lowest,) = re.findall(r">=3\.(\d+)$", PROJECT["project"]["requires-python"])
    pythons = [minor for path in WORKFLOWS for minor in re.findall(r'"3\.(\d+)"', path.read_text(encoding="utf-8"))]
    minors = sorted(set(map(int, pythons)))
    assert minors == list(range(int(lowest), minors[-1] + 1))


def test_hooks_call_the_tools_of_make_check() -> None:
    (repository,) = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in repository["hooks"]}
    assert tools == set(
        re.findall(r"\$\(BIN\)/([\w-]+)", text("Makefile").partition("\ncheck:")[2].partition("\n\n")[0])
    )
    assert all(hook["language"] == "system" and hook["id"] and hook["name"] for hook in repository["hooks"])


@pytest.mark.parametrize("form", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.name)
def test_issue_forms_are_whole(form: Path) -> None:
    content = loaded(form)
    assert content["name"]
    assert content["description"]
    assert len({field["id"] for field in content["body"]}) == len(content["body"])
    for field in content["body"]:
        assert field["type"] in {"textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]


def test_the_citation_is_one_and_of_this_version() -> None:
    citation = loaded(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == aigenbench.__version__
    assert citation["license"] == PROJECT["project"]["license"]
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert paper["authors"][0]["family-names"] == "Pellegrini"
    assert "2504.20865" in yaml.safe_dump(paper)


def within(page: Path, link: str) -> bool:
    return (page.parent / link.partition("#")[0]).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not link.startswith("#") and not within(page, link)] == []


def test_the_readme_leads_to_every_page() -> None:
    readme = text("README.md")
    pages = [f"docs/{path.name}" for path in ROOT.glob("docs/*.md")]
    assert [page for page in [*pages, "CONTRIBUTING.md", "SECURITY.md"] if f"({page})" not in readme] == []


def test_contributing_names_files_and_names_that_there_are() -> None:
    page = text("CONTRIBUTING.md")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    paths = re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|css))`", rows)
    assert len(paths) > 30
    assert [
        path for path in paths if not any((root / path).is_file() for root in (ROOT, ROOT / "src" / "aigenbench"))
    ] == []
    for path, name in re.findall(r"`([\w/.]+\.py)` \(`(\w+)`\)", rows):
        assert name in text(f"src/aigenbench/{path}")
    rooms = re.findall(r"`(\w+)`", "\n".join(line for line in rows.splitlines() if re.match(r"\| \d ", line)))
    layers = " ".join(PROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    assert set(rooms) >= {name for name in re.findall(r"\w+", layers) if (ROOT / "src/aigenbench" / name).is_dir()}
    package = ROOT / "src" / "aigenbench"
    sub_rooms = {str(path.parent.relative_to(package).as_posix()) for path in package.glob("*/*/__init__.py")}
    assert sub_rooms == set(re.findall(r"`(\w+/\w+)`", "\n".join(line for line in rows.splitlines() if "|" in line)))
    assert set(re.findall(r"`make ([\w-]+)`", page)) <= targets()


def test_make_targets_are_phony() -> None:
    phony = set(re.findall(r"(?m)^\.PHONY: (.+)$", text("Makefile"))[0].split())
    assert {name for name in targets() if not name.startswith(".")} == phony


def distribution(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")


def imported() -> set[str]:
    """The top-level modules of other packages that the code imports."""
    modules: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module)
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"aigenbench"}


def test_every_import_is_a_dependency() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = {distribution(one) for one in [*PROJECT["project"]["dependencies"], *chain.from_iterable(extras)]}
    of_module = packages_distributions()
    missing = {
        module
        for module in imported()
        if declared.isdisjoint(name.lower().replace("_", "-") for name in of_module.get(module, [module]))
    }
    assert missing == set()


def test_every_dependency_is_used_and_has_a_lowest_version() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    used, modules = imported(), dict[str, set[str]]()
    for module, names in packages_distributions().items():
        for name in names:
            modules.setdefault(name.lower().replace("_", "-"), set()).add(module)
    for requirement in PROJECT["project"]["dependencies"]:
        assert ">=" in requirement
        name = distribution(requirement)
        assert modules[name] & used or WITHOUT_IMPORT.get(name, "\0") in sources, name
    for extra, requirements in PROJECT["project"]["optional-dependencies"].items():
        for requirement in requirements:
            name = distribution(requirement)
            assert re.search(rf"\b{name.replace('-', '_')}\b", sources), extra


def test_the_lock_names_no_host_and_holds_what_is_asked_for() -> None:
    lock = text("requirements.lock")
    assert "://" not in lock
    locked = set(re.findall(r"(?m)^([a-z0-9][\w.-]*)==", lock))
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    assert {distribution(requirement) for requirement in wanted} <= locked
