"""Every gate of the scorecard in the size of the tests: it holds, and it fails when a rule is broken by hand."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.scorecard import GATES, Gate, Run
from faults.world import World, world

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
QUICK = [(gate, gate.quick) for gate in GATES if gate.quick is not None]
MUTANTS = [(gate, name, run) for gate, _ in QUICK for name, run in gate.mutants.items()]


# A reply that is cut off leaves the SDK's connection open until it is collected. A command's own process would have
# ended by then; these run in one that goes on.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Nothing of one gate is collected while another test runs."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def workspace() -> Iterator[World]:
    with world() as started:
        yield started


@pytest.mark.parametrize(("gate", "run"), QUICK, ids=[gate.id for gate, _ in QUICK])
def test_a_gate_holds(gate: Gate, run: Run, workspace: World) -> None:
    _skip_if_missing(gate)
    score = run(workspace)
    assert score.violations == []
    assert score.cases > 0


@pytest.mark.parametrize(("gate", "name", "run"), MUTANTS, ids=[f"{gate.id} {name}" for gate, name, _ in MUTANTS])
def test_a_gate_fails_when_its_rule_is_broken(gate: Gate, name: str, run: Run, workspace: World) -> None:
    _skip_if_missing(gate)
    assert run(workspace).violations != []


def _skip_if_missing(gate: Gate) -> None:
    reason = gate.missing()
    if reason is not None:
        pytest.skip(reason)


def test_the_document_holds_a_row_of_figures_for_every_gate() -> None:
    row = r"^\| ([A-H]\d+) \| (.*?) \| .*? \| (\d+) \| (\d+) \| (.*) \|$"
    rows = re.findall(row, DOCUMENT.read_text(), re.MULTILINE)
    assert [(actual[0], actual[1]) for actual in rows] == [(gate.id, gate.measure) for gate in GATES]
    assert all(int(cases) > 0 and violations == "0" for _, _, cases, violations, _ in rows)
    for gate, actual in zip(GATES, rows, strict=True):
        assert all(f"{name}: " in actual[4] for name in gate.mutants)
        assert ": 0 in" not in actual[4]
