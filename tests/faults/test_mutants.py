"""Every mutant still finds the text that it replaces: one that breaks nothing would prove nothing."""

import pytest
from faults.mutants import MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_still_finds_what_it_breaks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
