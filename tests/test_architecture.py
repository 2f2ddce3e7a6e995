"""The house stays as it was drawn: floors, sizes, words, and generated files that are current."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = sorted((ROOT / "src").rglob("*.py"))
SOURCES = [*PRODUCT, *sorted((ROOT / "sandbox").rglob("*.py"))]


def test_imports_point_down() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_list_of_what_services_may_not_import_names_every_implementation() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (services,) = [contract for contract in contracts if contract.get("source_modules") == ["gpuctl.services"]]
    package = ROOT / "src" / "gpuctl"
    files = [*(package / "home").glob("*.py"), *(path.parent for path in package.glob("store/*/__init__.py"))]
    names = {
        ".".join(file.relative_to(package.parent).with_suffix("").parts)
        for file in files
        if file.name not in ("__init__.py", "base.py")
    }
    forbidden = set(services["forbidden_modules"])
    assert {name for name in names if name not in forbidden and name.rpartition(".")[0] not in forbidden} == set()


def test_no_file_has_more_than_300_lines() -> None:
    assert [str(path) for path in SOURCES if len(path.read_text().splitlines()) > 300] == []


def test_every_module_opens_with_what_it_is_for() -> None:
    assert [str(path) for path in SOURCES if path.stat().st_size and not path.read_text().startswith('"""')] == []


def test_only_the_entry_points_and_the_sandbox_read_the_environment_of_the_process() -> None:
    reading = [path for path in PRODUCT if re.search(r"os\.(environ|getenv)\b", path.read_text())]
    assert {path.relative_to(ROOT / "src" / "gpuctl").as_posix() for path in reading} <= {
        "cli/__init__.py",
        "cli/main.py",
        "function.py",
        "sandbox.py",
    }


def test_nothing_reaches_into_another_objects_cache() -> None:
    assert [str(path) for path in PRODUCT if "__dict__" in path.read_text()] == []


def test_only_the_clock_asks_what_time_it_is() -> None:
    asking = re.compile(r"^\s*(import time|from time import)|datetime\.now\(|utcnow\(", re.MULTILINE)
    assert [path.name for path in PRODUCT if path.name != "clock.py" and asking.search(path.read_text())] == []


def test_any_exception_is_caught_in_one_place_and_at_the_boundary() -> None:
    # This line only searches for the clause; the two files that may have it are named below.
    broad = {path.name for path in SOURCES if re.search(r"except Exception\b", path.read_text())}
    assert broad == {"isolation.py", "main.py"}


@pytest.mark.parametrize(("shell", "name"), [("bash", "gpuctl.bash"), ("zsh", "_gpuctl"), ("fish", "gpuctl.fish")])
def test_the_completions_are_current(shell: str, name: str) -> None:
    """If this fails: make completions."""
    done = subprocess.run(
        [sys.executable, "-m", "gpuctl", "completion", shell],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "completions" / name).read_text() == done.stdout


def test_the_reference_and_the_man_page_are_current() -> None:
    """If this fails: make docs."""
    done = subprocess.run(
        [sys.executable, "-c", "import write_docs as w; print(repr((w.reference(), w.man())))"],
        cwd=ROOT / "scripts",
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    created = ((ROOT / "docs" / "reference.md").read_text(), (ROOT / "docs" / "man" / "gpuctl.1").read_text())
    assert repr(created) + "\n" == done.stdout


def test_the_fidelity_page_is_current() -> None:
    """If this fails: make docs."""
    done = subprocess.run(
        [sys.executable, "-c", "import write_docs; print(write_docs.fidelity(), end='')"],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "docs" / "fidelity.md").read_text() == done.stdout


def test_every_rule_of_an_emulated_cloud_has_a_name_of_its_own_and_a_source() -> None:
    from gpuctl_sandbox.clouds import CLOUDS
    from gpuctl_sandbox.fidelity import STATUSES

    rules = [rule for row in CLOUDS for rule in row.rules]
    names = [(rule.cloud, rule.name) for rule in rules]
    assert len(set(names)) == len(names)
    assert [len({rule.cloud for rule in row.rules}) for row in CLOUDS] == [1] * len(CLOUDS)
    assert [rule.name for rule in rules if not rule.source.strip() or rule.status not in STATUSES] == []
    assert [rule.name for rule in rules if "\n" in rule.statement or not rule.statement.endswith(".")] == []


def test_every_link_in_the_documents_leads_somewhere() -> None:
    broken = [
        f"{path.name}: {target}"
        for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_ci_page_shows_the_very_file_that_is_to_be_copied() -> None:
    text = (ROOT / "docs" / "examples" / "github-actions.yml").read_text()
    assert text.split("\n", 1)[1].strip() in (ROOT / "docs" / "ci.md").read_text()


def test_the_readme_shows_every_command_a_beginner_needs() -> None:
    from gpuctl.cli.command_table import COMMANDS

    readme = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"gpuctl {name}" not in readme and name not in ("stats", "sandbox")] == []
