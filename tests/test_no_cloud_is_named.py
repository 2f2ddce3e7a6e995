"""Outside its own folder no source file names a cloud: what has to be known of one is read from its facts.

Names are those of the providers, their titles and tools, words that only one cloud uses, and every instance type and
region of the catalog. `EXAMPLES` of commands are documentation, which names clouds.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import ProviderName
from gpuctl.providers.registry import SUPPORTED, all_facts

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "gpuctl"
FOLDERS = [PACKAGE / "providers" / name for name in ProviderName]
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if not any(path.is_relative_to(folder) for folder in FOLDERS))

# Every name in the file that may stand there, and why.
EXCEPTIONS = {
    "store/dynamodb/__init__.py": ({"aws", "boto3"}, "the store on AWS's own database, and the extra with its SDK"),
    "store/dynamodb/table.py": ({"aws", "boto3", "botocore"}, "the same: the variables of its SDK"),
    "store/dynamodb/engine.py": ({"botocore"}, "the same: its SDK's error"),
    "store/dynamodb/schema.py": ({"AWS"}, "the same: the resource of its template"),
    "cli/commands/reaper/package.py": ({"aws"}, "the service for which the zip is built, as it is typed"),
    "function.py": ({"aws"}, "the variable and the name of a service that runs functions"),
    "domain/instance.py": ({*ProviderName}, "the closed set of providers that a record may name"),
    "providers/registry.py": ({*ProviderName}, "the table of clouds: one row each"),
    "domain/market/secrets.py": ({"aws", "google"}, "what well-known tokens look like, whoever issues them"),
    "domain/market/sizing.py": (
        {"g4dn.xlarge", "Standard_NC6", "p3.2xlarge"},
        "the types that a size prefers among equally cheap ones; a catalog without them is no failure",
    ),
    "domain/reconcile/plan.py": (
        {"aws", "amazon", "ec2", "azure"},
        "the sources of the longest delay, which is the same for every cloud",
    ),
    "remote/echo.py": ({"amazonaws"}, "a public service that reports the caller's address, whichever cloud is used"),
    "platform.py": ({"microsoft"}, "the kernel of WSL has the name in its release"),
}
WORDS = ("amazon", "amazonaws", "boto3?", "botocore", "ec2", "microsoft", "google", "googleapis", "gcloud", "gce")


def _pattern() -> re.Pattern[str]:
    facts = all_facts()
    plain = {*ProviderName, *(each.title.lower() for each in facts)}
    tools = {rf"(?<=[ `'\"]){each.tool} (?=[a-z])" for each in facts if each.tool not in plain}
    catalog = Catalog()
    names = {kind.name for name in SUPPORTED for kind in catalog.types(name)}
    regions = {region for name in SUPPORTED for region in catalog.regions(name)}
    exact = "|".join(sorted(map(re.escape, names | regions), key=len, reverse=True))
    words = "|".join((*sorted(plain), *WORDS))
    return re.compile(rf"(?<![a-z])({words})(?![a-z])|{'|'.join(tools) or '(?!)'}|(?<![\w.-])({exact})(?![\w-])", re.I)


def _without_examples(text: str) -> str:
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and [target.id for target in node.targets if isinstance(target, ast.Name)] == [
            "EXAMPLES"
        ]:
            lines[node.lineno - 1 : node.end_lineno] = ["\n"] * ((node.end_lineno or 0) - node.lineno + 1)
    return "".join(lines)


PATTERN = _pattern()


def named_in(text: str) -> set[str]:
    """Every name of a cloud in that source."""
    return {match[0].strip() for match in PATTERN.finditer(_without_examples(text))}


def _folded(names: set[str]) -> set[str]:
    return {name.casefold() for name in names}


def test_no_source_file_outside_a_clouds_own_folder_names_it() -> None:
    named = {}
    for path in SOURCES:
        name = path.relative_to(PACKAGE).as_posix()
        allowed, _ = EXCEPTIONS.get(name, (set[str](), ""))
        named[name] = _folded(named_in(path.read_text())) - _folded(allowed)
    assert {name: names for name, names in named.items() if names} == {}


def test_no_cloud_imports_another() -> None:
    imported = {
        (folder.name, other)
        for folder in FOLDERS
        for path in folder.rglob("*.py")
        for other in {*ProviderName} - {folder.name}
        if re.search(rf"\bgpuctl\.providers\.{other}\b", path.read_text())
    }
    assert imported == set()


def test_every_exception_is_needed_and_has_a_reason() -> None:
    for name, (allowed, reason) in EXCEPTIONS.items():
        unused = _folded(allowed) - _folded(named_in((PACKAGE / name).read_text()))
        assert unused <= {provider.value for provider in ProviderName if provider not in SUPPORTED}
        assert len(reason.split()) > 4


@pytest.mark.parametrize(
    "text",
    [
        'hint = "gpuctl provision g4dn.xlarge"',
        'region = "us-east-1"',
        "if record.provider is ProviderName.AZURE: pass",
        'hint = "az login"',
        "import gpuctl.providers.aws.client",
        "# EC2 reports whole seconds",
        'variable = "AWS_PROFILE"',
        "REGION = 'eastus'",
    ],
)
def test_a_name_is_found_in_every_form(text: str) -> None:
    assert named_in(text)


def test_the_gates_and_the_scripts_have_no_list_of_clouds_either() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lists = [value for contract in contracts for value in contract.values() if isinstance(value, list)]
    modules = {name for names in lists for name in names if name.startswith("gpuctl.")}
    assert modules and {name for name in modules if PATTERN.search(name)} == set()
    builder = (ROOT / "scripts" / "build_catalog.py").read_text()
    assert named_in(builder.split('"""', 2)[2]) == set()
