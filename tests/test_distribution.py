"""The distribution's name stands in one place, and every hint to install something fits how gpuctl was installed."""

import re
import sys
import tomllib
from pathlib import Path
from runpy import run_path

import pytest
from support.cli import Operator

import gpuctl
import gpuctl_sandbox
from gpuctl.distribution import NAME, Installation, Installer, add_extra, add_package, find_foreign, install_extra

ROOT = Path(__file__).parents[1]
METADATA = "[console_scripts]\ngpuctl = gpuctl.gpu_main:run\n"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder that Python imports from, with the foreign distribution in it."""
    folder = tmp_path / "site-packages"
    (folder / "gpuctl-0.3.6.dist-info").mkdir(parents=True)
    (folder / "gpuctl-0.3.6.dist-info" / "entry_points.txt").write_text(METADATA)
    return folder


def test_the_name_is_the_one_in_pyproject_and_not_that_of_the_foreign_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["name"], list(project["scripts"])) == (NAME, ["gpuctl"])
    assert NAME != "gpuctl"


def test_the_extras_refer_to_the_distribution_by_its_own_name() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]["custom"][
        "extras"
    ]
    references = {line.partition("[")[0] for lines in extras.values() for line in lines if line.startswith("gpuctl")}
    assert references == {NAME}


def test_the_emulated_clouds_have_the_version_of_gpuctl() -> None:
    assert gpuctl_sandbox.__version__ == gpuctl.__version__


def test_no_document_and_no_message_installs_the_foreign_distribution() -> None:
    wrong = re.compile(r"""(pipx? (install|inject)|uv tool install|uv add) [^\n`]*['" ]gpuctl(\[|['"\s])""")
    files = [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs").rglob("*.yml"),
        *(ROOT / "src").rglob("*.py"),
    ]
    assert [f"{path.name}: {actual[0]}" for path in files for actual in wrong.finditer(path.read_text())] == []


@pytest.mark.parametrize(
    ("installation", "command"),
    [
        (
            Installation(Installer.PIPX, "/p/bin/python", "/home/ana/gpuctl", extras=("aws",)),
            "pipx install --force '/home/ana/gpuctl[aws,azure]'",
        ),
        (
            Installation(Installer.PIPX, "/p/bin/python", "/home/ana/gpuctl", is_editable=True),
            "pipx install --force --editable '/home/ana/gpuctl[azure]'",
        ),
        (
            Installation(Installer.UV_TOOL, "/p/bin/python", "/home/ana/gpuctl", extras=("aws",)),
            "uv tool install --force '/home/ana/gpuctl[aws,azure]'",
        ),
        (
            Installation(Installer.PIP, "/v/bin/python", "/home/ana/gpuctl", is_editable=True, extras=("aws",)),
            "/v/bin/python -m pip install -e '/home/ana/gpuctl[azure]'",
        ),
        (
            Installation(Installer.PIP, "/v/bin/python", "git+https://git.example.com/gpuctl"),
            f"/v/bin/python -m pip install '{NAME}[azure] @ git+https://git.example.com/gpuctl'",
        ),
        (
            Installation(Installer.UV, "/home/a b/bin/python", "/home/a b/gpuctl"),
            "uv pip install --python '/home/a b/bin/python' '/home/a b/gpuctl[azure]'",
        ),
        (Installation(Installer.PIPX, "/p/bin/python"), f"pipx install --force '{NAME}[azure]'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_command_for_a_missing_extra_fits_the_installation(installation: Installation, command: str) -> None:
    assert add_extra(installation, "azure") == command


@pytest.mark.parametrize(
    ("installer", "command"),
    [
        (Installer.PIPX, f"pipx inject {NAME} 'botocore[crt]'"),
        (Installer.UV_TOOL, "uv tool install --force --with 'botocore[crt]' '/home/ana/gpuctl[aws]'"),
        (Installer.PIP, "/v/bin/python -m pip install 'botocore[crt]'"),
        (Installer.UV, "uv pip install --python /v/bin/python 'botocore[crt]'"),
    ],
)
def test_the_command_for_a_missing_package_of_others_fits_the_installation(installer: Installer, command: str) -> None:
    installation = Installation(installer, "/v/bin/python", "/home/ana/gpuctl", extras=("aws",))
    assert add_package(installation, "botocore[crt]") == command


def test_in_this_environment_the_command_names_this_python_and_the_source() -> None:
    command = install_extra("azure")
    assert sys.executable in command
    assert "azure]" in command


def test_the_foreign_distribution_is_recognised_by_its_metadata(packages: Path) -> None:
    assert find_foreign([str(packages)]) == "0.3.6"


def test_a_clone_installed_under_the_former_name_is_not_foreign(packages: Path) -> None:
    (packages / "gpuctl-0.3.6.dist-info" / "entry_points.txt").write_text("gpuctl = gpuctl.cli.main:entry\n")
    assert find_foreign([str(packages)]) is None


def test_folders_that_are_missing_are_no_failure(tmp_path: Path) -> None:
    assert find_foreign([str(tmp_path / "site-packages"), str(tmp_path)]) is None


def test_doctor_fails_where_the_foreign_distribution_shares_the_environment(
    operator: Operator, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(packages))
    ran = operator.json("doctor", "--region", "us-east-1")
    failed = [check for check in ran.json["checks"] if check["check"] == "version" and check["status"] == "fail"]
    assert ran.code == 1
    assert "`gpuctl` 0.3.6" in failed[0]["message"]
    assert "uninstall gpuctl" in failed[0]["hint"]


def test_provision_warns_of_the_foreign_distribution_and_list_spends_no_time_on_it(
    operator: Operator, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(packages))
    started = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "--dry-run")
    listed = operator.run("list")
    assert [line for line in started.err.splitlines() if line.startswith("warning: the distribution `gpuctl` 0.3.6")]
    assert (started.code, listed.code, listed.err) == (0, 0, "")


def test_a_wheel_without_the_man_page_or_a_price_list_is_refused() -> None:
    release = run_path(str(ROOT / "scripts" / "release.py"))
    package = [
        f"gpuctl/{path.relative_to(ROOT / 'src' / 'gpuctl')}" for path in release["tree"](ROOT / "src" / "gpuctl")
    ]
    shared = [f"x.data/data/{name}" for name in ("share/man/man1/gpuctl.1", *release["COMPLETIONS"])]
    whole = [*package, *shared, "x.dist-info/licenses/LICENSE"]
    assert release["missing_of_wheel"](whole) == []
    assert release["missing_of_wheel"](set(whole) - {shared[0]}) == ["share/man/man1/gpuctl.1"]
    assert release["missing_of_wheel"](set(whole) - {"gpuctl/catalog/data/aws.json"}) == [
        "gpuctl/catalog/data/aws.json"
    ]


def test_a_wheel_with_tests_in_it_is_refused() -> None:
    release = run_path(str(ROOT / "scripts" / "release.py"))
    assert release["unwanted_of_wheel"](["gpuctl/cli/app.py", "tests/conftest.py"]) == ["tests/conftest.py"]
    assert release["unwanted_of_wheel"](["gpuctl_sandbox/app.py"]) == ["gpuctl_sandbox/app.py"]
