"""Every mutant still finds the text that it replaces, and nothing of it stays: one that breaks nothing is no proof."""

import subprocess
import sys

import pytest
from faults.mutants import MUTANTS, load_all_modules


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_still_finds_what_it_breaks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load_all_modules()
    MUTANTS[name](monkeypatch)


def test_a_broken_rule_is_whole_again_in_modules_that_were_imported_meanwhile() -> None:
    program = (
        "from faults.world import broken\n"
        "with broken(['contents not looked at']):\n"
        "    import gpuctl.providers.azure.provider as provider\n"
        "    assert provider.end_group.__code__.co_filename == '<string>'\n"
        "assert provider.end_group.__code__.co_filename != '<string>'\n"
    )
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, check=True)
