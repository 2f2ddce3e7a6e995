"""Breaks the safety core in one place at a time and counts how many of the breaks its own tests notice.

A mutant is one file with one change. It lives in memory only: a process that has imported everything heavy forks for
each, and the fork imports the changed module in place of the real one and runs the floor's fast tests. Killed means
that a test failed or that they hung. Not changed: texts, annotations, decorators, docstrings, imports.

Every mutant is tried, every time. `python scripts/mutants.py domain/reconcile/evidence.py` judges that file alone.
"""

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import EnumType
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[1]
GOAL = 0.9
HUNG = -signal.SIGALRM
DECLARATIONS = ("annotation", "returns", "decorator_list")
PAIRS = (
    *((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn)),
    *((ast.And, ast.Or), (ast.Add, ast.Sub)),
)
OTHER: dict[type[ast.AST], type[ast.AST]] = {item: other for pair in PAIRS for item, other in (pair, pair[::-1])}
OTHER_NAME = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Floor:
    """Files that are judged by the same tests: the quick ones first, and for what survives them the slower ones."""

    files: Sequence[str]
    quick: Sequence[str]
    slower: Sequence[str]


FLOORS = (
    Floor(
        (
            "domain/reconcile/plan.py",
            "domain/reconcile/orphans.py",
            "domain/reconcile/actions.py",
            "domain/reconcile/evidence.py",
            "domain/lifecycle.py",
        ),
        ("tests/domain",),
        ("tests/services/test_model.py",),
    ),
    Floor(
        (
            "store/local/tinydb.py",
            "store/local/format.py",
            "files.py",
            "store/local/lock.py",
            "store/local/lease.py",
            "store/local/store.py",
        ),
        (
            "tests/store",
            "tests/test_files.py",
            "-k",
            "not test_crashes and not test_damage and not test_memory and not thinned",
        ),
        ("tests/store/local/test_damage.py", "tests/store/local/test_crashes.py"),
    ),
)
# Imported once, before any fork: what the tests need and what no mutant can reach.
WARM = ("hypothesis.stateful", "tinydb", "typer", "rich.table", "boto3", "moto.server", "moto.ec2")


@dataclass(frozen=True)
class Slot:
    """A place in the tree that holds a node: `holder[key]`, where the holder is a list or the owner's attributes."""

    owner: ast.AST
    field: str
    holder: Any
    key: Any


@dataclass(frozen=True)
class Mutant:
    line: int
    change: str
    code: CodeType


def slots(owner: ast.AST) -> Iterator[tuple[Slot, ast.AST]]:
    """Every node below this one with the place that holds it, without what only declares."""
    for field, value in ast.iter_fields(owner):
        if field in DECLARATIONS:
            continue
        several = isinstance(value, list)
        for key, child in enumerate(value) if several else [(field, value)]:
            if isinstance(child, ast.AST):
                yield Slot(owner, field, value if several else vars(owner), key), child
                yield from slots(child)


def changes(slot: Slot, node: ast.AST, module: ModuleType, again: set[ast.AST]) -> Iterator[Any]:
    """What to put in the place of this node, one at a time. `again` are the assignments that may be left out."""
    match node:
        case ast.cmpop() | ast.boolop() | ast.operator() if type(node) in OTHER:
            yield OTHER[type(node)]()
        case ast.BinOp(left=left, op=ast.BitOr()):
            yield left
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BoolOp(op=op, values=values):
            for at in range(len(values)):
                rest = values[:at] + values[at + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=str() | bytes() as value) if value and isinstance(slot.owner, ast.Compare):
            yield ast.Constant(value[:0])
        case ast.Call(func=func, args=args, keywords=keywords):
            for missing in (keyword for keyword in keywords if keyword.arg):
                yield ast.Call(func, args, [keyword for keyword in keywords if keyword is not missing])
            if isinstance(func, ast.Name) and func.id in OTHER_NAME:
                yield ast.Call(ast.Name(OTHER_NAME[func.id], ast.Load()), args, keywords)
        case ast.Attribute(value=ast.Name(id=name), attr=member):
            kind = getattr(module, name, None)
            if isinstance(kind, EnumType) and member in kind.__members__:
                members = list(kind.__members__)
                after = members[(members.index(member) + 1) % len(members)]
                yield ast.Attribute(node.value, after, ast.Load())
        case ast.Set(elts=elts) if len(elts) > 1:
            yield from (ast.Set(elts[:at] + elts[at + 1 :]) for at in range(len(elts)))
        case ast.Tuple(elts=elts) if slot.field in ("comparators", "type"):
            yield from (ast.Tuple(elts[:at] + elts[at + 1 :], ast.Load()) for at in range(len(elts)))
        case ast.stmt():
            yield from instead_of(node, again)
    if slot.field in ("test", "ifs") and not isinstance(node, ast.Constant):
        yield ast.Constant(False)
        if not isinstance(slot.owner, ast.While):
            yield ast.Constant(True)


def instead_of(node: ast.stmt, again: set[ast.AST]) -> Iterator[ast.stmt]:
    """The statements that may stand where this one does: none of it, or a return of nothing."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Expr() | ast.Raise() | ast.Continue() | ast.Break() | ast.Return(value=None) | ast.AugAssign():
            yield ast.Pass()
        case ast.Return(value=value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Assign(targets=[target]) if node in again or isinstance(target, ast.Attribute | ast.Subscript):
            yield ast.Pass()
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="suppress")))]):
            yield ast.If(ast.Constant(True), node.body, [])


def rebindings(tree: ast.AST) -> set[ast.AST]:
    """The assignments to names that their function has bound before: leaving out another is a mere NameError."""
    matches: set[ast.AST] = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        names = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
        assignments = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
        for assignment in sorted(assignments, key=lambda item: item.lineno):
            bound = {target.id for target in assignment.targets if isinstance(target, ast.Name)}
            matches |= {assignment} if bound & names else set()
            names |= bound
    return matches


def mutants_of(path: Path, module: ModuleType) -> list[Mutant]:
    tree = ast.parse(path.read_text())
    again, matches = rebindings(tree), []
    for slot, node in list(slots(tree)):
        for new in changes(slot, node, module, again):
            shown = slot.owner if not isinstance(node, ast.expr | ast.stmt) else node
            line, before = getattr(shown, "lineno", 0), _shown(shown)
            slot.holder[slot.key] = new
            whole = ast.fix_missing_locations(ast.copy_location(deepcopy(tree), tree))
            change = _gone(node, new) or f"{before}  ->  {_shown(shown if shown is slot.owner else new)}"
            matches.append(Mutant(line, change, compile(whole, str(path), "exec")))
            slot.holder[slot.key] = node
    return sorted(matches, key=lambda item: (item.line, item.change))


def _gone(node: ast.AST, new: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and isinstance(new, ast.Call):
        missing = [f"{keyword.arg}={_shown(keyword.value)}" for keyword in node.keywords if keyword not in new.keywords]
        return f"{_shown(node.func)}(...)  ->  without {missing[0]}" if missing else None
    return None


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:60]} ... {text[-25:]}"


class Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a module from a code object."""

    def __init__(self, name: str, code: CodeType) -> None:
        self.name, self.code = name, code

    def find_spec(self, name: str, *_: object) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


class FewExamples:
    """The model test with as many examples as fit into a second or two, the same ones each time."""

    def pytest_collection_modifyitems(self, items: Sequence[Any]) -> None:
        for item in items:
            if getattr(item.cls, "settings", None) is not None:
                item.cls.settings = settings(item.cls.settings, max_examples=25, phases=[Phase.generate])


def outcome(tests: Sequence[str], mutant: tuple[str, CodeType] | None, scratch: Path, patience: float) -> int:
    """How these tests ended in a fork that has this mutant: 0 if they passed, HUNG if they took too long."""
    where = Path(tempfile.mkdtemp(dir=scratch))
    pid = os.fork()
    if pid == 0:
        _run(tests, mutant, where, patience)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(where, ignore_errors=True)
    return code


def _run(tests: Sequence[str], mutant: tuple[str, CodeType] | None, where: Path, patience: float) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        signal.setitimer(signal.ITIMER_REAL, patience)
        for stream in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        os.chdir(where)
        if mutant:
            sys.meta_path.insert(0, Instead(*mutant))
        options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--hypothesis-seed=0", f"--rootdir={ROOT}"]
        options += ["-c", str(ROOT / "pyproject.toml"), f"--basetemp={where / 'tmp'}"]
        paths = [str(ROOT / test) if test.startswith("tests") else test for test in tests]
        code = int(pytest.main([*options, *paths], plugins=[FewExamples()]))
    finally:
        os._exit(code)


def judge(floor: Floor, file: str, scratch: Path) -> tuple[int, int, list[Mutant]]:
    """How many mutants of this file were tried, how many of them hung, and those that no test noticed."""
    package, _, short = file.removesuffix(".py").rpartition("/")
    name = f"gpuctl.{package}.{short}"
    for loaded in [module for module in sys.modules if module.partition(".")[0] == "gpuctl"]:
        del sys.modules[loaded]
    mutants = mutants_of(ROOT / "src" / "gpuctl" / file, importlib.import_module(name))
    # What the module itself imports cannot depend on it, so that much stays warm.
    del sys.modules[name]
    delattr(sys.modules[f"gpuctl.{package}"], short)
    started = time.monotonic()
    for tests in (floor.quick, floor.slower):
        if outcome(tests, None, scratch, 120):
            raise SystemExit(f"without any mutant this fails: pytest {' '.join(tests)}")
    patience = 3 * (time.monotonic() - started) + 5
    hung, survivors = 0, []
    for number, mutant in enumerate(mutants, 1):
        if sys.stderr.isatty():
            print(f"\r{file} {number}/{len(mutants)} ", end="", file=sys.stderr, flush=True)
        run = partial(outcome, mutant=(name, mutant.code), scratch=scratch, patience=patience)
        ended = run(floor.quick) or run(floor.slower)
        hung += ended == HUNG
        survivors += [] if ended else [mutant]
    return len(mutants), hung, survivors


def main() -> None:
    parser = argparse.ArgumentParser(description="A mutation score of the safety core.")
    parser.add_argument(
        "files", nargs="*", help="such as domain/reconcile/evidence.py; all of the safety core if none is given"
    )
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    if unknown := set(options.files) - {file for floor in FLOORS for file in floor.files}:
        parser.error(f"not in the safety core: {', '.join(sorted(unknown))}")
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    list(map(importlib.import_module, WARM))
    scratch = Path(tempfile.mkdtemp(prefix="gpuctl-mutants-"))
    survived, is_good = [], True
    table = [f"{'file':24} mutants  killed  of these hung   score"]
    print(*table, flush=True)
    try:
        for file, floor in {
            file: each for each in FLOORS for file in each.files if file in (options.files or each.files)
        }.items():
            tried, hung, active = judge(floor, file, scratch)
            score = 1 - len(active) / tried
            table.append(f"{file:24} {tried:7} {tried - len(active):7} {hung:14} {score:7.1%}")
            print(f"\r{table[-1]}", flush=True)
            survived += [f"  {file}:{item.line}  {item.change}" for item in active]
            is_good &= score >= GOAL
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("", "survivors", *survived, sep="\n")
    if options.write:
        from support.document import put

        put(options.write, "mutants", "\n".join([f"Measured {time.strftime('%Y-%m-%d')}.", "", "```", *table, "```"]))
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
