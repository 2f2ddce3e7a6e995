"""Help and documents use the terms of the glossary: words that readers had to decode stay out."""

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
