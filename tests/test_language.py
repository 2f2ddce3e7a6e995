"""Help, messages, documents and names use the terms of the glossary: words that readers had to decode stay out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Operator

from gpuctl.cli.command_table import COMMANDS
from gpuctl.cli.commands.help.topics import TOPICS

ROOT = Path(__file__).parents[1]
# Each with what to write instead.
WORDS = {
    r"\bkillers?\b": "safeguard",
    r"\bstrangers?\b": "foreign",
    r"\b(told|tells)\b": "reported, prints, shows",
    r"\b(un)?mend(s|ed|ing)?\b": "fix",
    r"\bproven gone\b": "confirmed terminated",
    r"\b(comes|came) of it\b": "the result",
    r"\b(machine|instance|record)s? (that )?lives?\b": "is active",
    r"\bits life\b": "TTL",
    r"\b(doors?|floors?|the house)\b": "ingress rule, package, architecture",
    r"\b(has|have|be|is|are) born\b": "is created",
    r"\b(dearer|dearest|whence|thrice|anew)\b": "more expensive, from where, three times, again",
    r"\bdo(es)? not go together\b": "cannot be combined",
    r"\b(initialis|behaviour|colour)\w*": "American spelling, as in --color",
}
DOCUMENTS = [
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    # Generated from the tables of the emulated clouds and of the gates, which quote and abbreviate.
    if path.name not in ("fidelity.md", "reliability.md")
]


def violations(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in WORDS.items():
            if match := re.search(pattern, line, re.IGNORECASE):
                yield f"line {number}: {match[0]!r}, write: {instead}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_uses_the_terms_of_the_glossary(path: Path) -> None:
    assert list(violations(path.read_text())) == []


@pytest.mark.parametrize(
    "arguments", [["-h"], *([name, "-h"] for name in COMMANDS), *(["help", name] for name in TOPICS)]
)
def test_help_uses_the_terms_of_the_glossary(operator: Operator, arguments: list[str]) -> None:
    assert list(violations(operator.run(*arguments).out)) == []


SOURCES = sorted((ROOT / "src").rglob("*.py"))
# Pronouns and participles: a name says what a value is, or what a function returns or does.
NAMES = frozenset(
    "anybody asked drawn everybody found given gone half it kept mine nobody one said seen shut somebody stood taken "
    "that there these this those told tried was who whose made life lives alive born".split()
)
# What is not text of this program.
QUOTED = {
    # Words of states that were written before they had others.
    "domain/safeguards.py": "killer",
}


def names_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name.strip("_").lower(), node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name.strip("_").lower(), node.lineno


# Words in the name of a test that stand for a term of the glossary.
OLD_TERMS = re.compile(
    r"_(machines?|strangers?|told|tells?|lives|alive|born|anew|dearer|dearest|mended|asked_for)(?=_|$)"
)


def test_names_of_tests_use_the_terms_of_the_glossary() -> None:
    names = [
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert [name for name in names if OLD_TERMS.search(name)] == []


def texts_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every text that is not a docstring."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value, node.lineno


def test_names_are_no_pronouns_and_no_participles() -> None:
    problems = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        for name, line in names_of(ast.parse(path.read_text()))
        if name in NAMES
    ]
    assert problems == []


def test_messages_use_the_terms_of_the_glossary() -> None:
    problems = [
        f"{path.relative_to(ROOT)}:{line}: {violation}"
        for path in SOURCES
        for text, line in texts_of(ast.parse(path.read_text()))
        if QUOTED.get(str(path.relative_to(ROOT / "src" / "gpuctl"))) != text
        for violation in violations(text)
    ]
    assert problems == []
