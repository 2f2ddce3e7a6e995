"""`gpuctl reaper package`: the zip runs a reap with nothing else importable, and is the same for the same packages.

The tests pack the distributions that are installed, because they send no request to a package index.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path

import pytest
from support.cli import Operator
from support.clock import FakeClock
from support.dynamodb import DynamoServer

from gpuctl.cli.commands.reaper.bundle import Architecture, Bundle, build, downloaded, find_pip, requirements
from gpuctl.errors import UnreachableError, UsageError

_PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from gpuctl.function import handler
document = handler({}, None)
missing = [name for name in ("typer", "rich", "tinydb", "gpuctl.cli") if name in sys.modules]
print(json.dumps({"document": document, "missing": missing}))
"""


def installed(folder: Path) -> None:
    """Put the installed distributions there that the function needs, and those that they need."""
    pending, calls = [re.split(r"[^\w.-]", line)[0] for line in requirements("aws")], set[str]()
    while pending:
        name = pending.pop()
        if name in calls:
            continue
        calls.add(name)
        actual = distribution(name)
        pending += [re.split(r"[^\w.-]", line)[0] for line in actual.requires or () if ";" not in line]
        for file in actual.files or ():
            source = Path(str(actual.locate_file(file)))
            if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
                continue
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return build(installed)


def a_pip(folder: Path, script: str) -> tuple[str, ...]:
    """A program in the place of pip."""
    path = folder / "pip"
    path.write_text(script)
    return (sys.executable, str(path))


def a_package(folder: Path) -> None:
    (folder / "some").mkdir()
    (folder / "some" / "code.py").write_text("text = 1\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "tool").write_text(f"#!{sys.executable}\n")


def test_the_function_reaps_from_its_zip_alone(operator: Operator, bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "task"
    zipfile.ZipFile(BytesIO(bundle.content)).extractall(folder)
    table = DynamoServer()
    clock = FakeClock(datetime.now(UTC) - timedelta(minutes=6))
    team = Operator(tmp_path, operator.cloud, operator.wire, clock)
    table.now = clock.now
    team.environ["GPUCTL_STATE"] = "dynamodb://gpuctl?region=us-east-1"
    variables = {**table.environ, "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]}
    try:
        assert team.run("state", "init", environ=variables).code == 0
        ran = team.run(*"provision g4dn.xlarge --region us-east-1 --ttl 5 -o json".split(), environ=variables)
        team.later(minutes=6)
        environ = {
            **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
            **variables,
            "GPUCTL_STATE": team.environ["GPUCTL_STATE"],
            "AWS_LAMBDA_FUNCTION_NAME": "gpuctl-reaper",
            "TMPDIR": str(tmp_path),
        }
        # -S: nothing of the environment of this test can be imported.
        argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(folder)]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, cwd=tmp_path)
    finally:
        table.stop()
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["missing"] == []
    ended = [action["id"] for action in report["document"]["actions"] if action["action"] == "terminate"]
    assert ended == [ran.instance["id"]]
    assert team.active == []


def test_the_zip_has_neither_the_command_line_nor_its_libraries(bundle: Bundle) -> None:
    names = zipfile.ZipFile(BytesIO(bundle.content)).namelist()
    top = {name.split("/")[0] for name in names}
    assert {"gpuctl", "boto3", "botocore", "pydantic"} <= top
    assert not top & {"typer", "rich", "tinydb", "click", "bin"}
    assert not [name for name in names if name.startswith("gpuctl/cli/") or "__pycache__" in name]
    # The limit of AWS Lambda for what is unpacked.
    assert len(bundle.content) < bundle.unpacked_bytes < 250e6


def test_the_same_files_give_the_same_zip() -> None:
    first, second = build(a_package), build(a_package)
    assert (first.content, first.sha256) == (second.content, second.sha256)
    entries = zipfile.ZipFile(BytesIO(first.content)).infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    names = [entry.filename for entry in entries]
    assert names == sorted(names) and "some/code.py" in names and "bin/tool" not in names


def test_pip_gets_the_platform_and_the_versions_that_are_installed(tmp_path: Path) -> None:
    script = "import sys, pathlib, shutil\narguments = sys.argv[1:]\n"
    script += f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(chr(10).join(arguments))\n"
    script += f"shutil.copy(arguments[arguments.index('--constraint') + 1], {str(tmp_path / 'constraints')!r})\n"
    downloaded(Architecture.ARM64, ["boto3>=1.35"], a_pip(tmp_path, script))(tmp_path / "target")
    arguments = (tmp_path / "seen").read_text().splitlines()
    assert [arguments[number + 1] for number, word in enumerate(arguments) if word == "--platform"] == [
        "manylinux_2_28_aarch64",
        "manylinux2014_aarch64",
    ]
    assert arguments[-1] == "boto3>=1.35" and "--only-binary" in arguments
    assert f"boto3=={distribution('boto3').version}" in (tmp_path / "constraints").read_text().splitlines()


def test_the_requirements_are_the_common_ones_and_those_of_the_extra() -> None:
    declared = [
        "pydantic>=2.7",
        "rich>=13",
        "typer>=0.29",
        "boto3>=1.35; extra == 'aws'",
        "psycopg[binary]>=3.2; extra == 'x'",
    ]
    assert requirements("aws", declared) == ["pydantic>=2.7", "boto3>=1.35"]
    with pytest.raises(UsageError, match="the metadata of gpuctl-cloud is missing"):
        requirements("aws", [])


def test_what_pip_says_is_reported_with_what_to_check(tmp_path: Path) -> None:
    words = "ERROR: Could not find a version that satisfies the requirement boto3"
    script = f"import sys\nsys.stderr.write('WARNING: no route to host\\n{words}\\n')\nsys.exit(1)\n"
    with pytest.raises(UnreachableError, match="pip could not download .*: Could not find a version") as caught:
        downloaded(Architecture.X86_64, ["boto3"], a_pip(tmp_path, script))(tmp_path)
    assert caught.value.retryable and "pip config list" in str(caught.value.hint)
    with pytest.raises(UsageError, match="pip does not start"):
        downloaded(Architecture.X86_64, ["boto3"], [str(tmp_path / "missing")])(tmp_path)
    hanging = a_pip(tmp_path, "import threading\nthreading.Event().wait()\n")
    with pytest.raises(UnreachableError, match="did not finish"):
        downloaded(Architecture.X86_64, ["boto3"], hanging, timeout_s=0.2)(tmp_path)


def test_pip_is_that_of_this_python_or_on_the_path_or_a_hint_names_the_install_command() -> None:
    assert find_pip(lambda name: object()) == (sys.executable, "-m", "pip")
    assert find_pip(lambda name: None, lambda name: f"/usr/bin/{name}") == ("/usr/bin/pip3",)
    with pytest.raises(UsageError, match="pip is needed") as caught:
        find_pip(lambda name: None, lambda name: None)
    assert str(caught.value.hint).endswith("pip")


def test_the_command_prints_the_name_of_the_zip_and_its_size(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = a_pip(
        tmp_path, "import sys, pathlib\npathlib.Path(sys.argv[sys.argv.index('--target') + 1], 'code.py').touch()\n"
    )
    monkeypatch.setattr("gpuctl.cli.commands.reaper.bundle.find_pip", lambda: pip)
    target = tmp_path / "reaper.zip"
    ran = operator.run("reaper", "package", "aws", "--to", str(target))
    assert (ran.code, ran.out) == (0, f"{target}\n")
    assert re.search(r"\d\.\d MB, \d\.\d MB unpacked, for Python 3\.13 on x86_64", ran.err)
    assert "code.py" in zipfile.ZipFile(target).namelist()
    package = operator.json("reaper", "package", "aws", "--to", str(target), "--platform", "arm64").json["package"]
    assert (package["file"], package["platform"]) == (str(target), "arm64")
    assert package["bytes"] == target.stat().st_size
    refused = operator.run("reaper", "package", "aws", "--to", str(tmp_path / "missing" / "reaper.zip"))
    assert refused.code == 2 and "does not exist" in refused.err and "mkdir -p" in refused.err
    refused = operator.run("reaper", "package", "aws", "--to", str(tmp_path))
    assert refused.code == 2 and "cannot write" in refused.err
