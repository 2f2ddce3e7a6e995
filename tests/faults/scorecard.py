"""The scorecard: every gate with what it counted, beside the mutants that make it fail. `make torture` runs all of it.

`python -m faults.scorecard [--quick] [--only A1,E1] [--write FILE]`; each gate runs in a process of its own.
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from boot.cases import CASES, booted_guards
from boot.system import missing
from faults import (
    azure,
    cancels,
    copies,
    crashes,
    gcp,
    hostile_input,
    lost_replies,
    moves,
    pool_ticks,
    pools,
    secrets,
    shared,
    states,
    teams,
)
from faults.team_day import team_day
from faults.team_leases import stalled_reapers
from faults.world import Score, World, broken, world
from support.document import part, put
from support.wire import Phase

Run = Callable[[World], Score]


@dataclass(frozen=True)
class Gate:
    """One row. `quick` is its size in the tests, `full` in `make torture`; each mutant has the size that shows it.

    Without `quick` the tests leave it out. `missing` says why this computer cannot run it, None where it can.
    """

    id: str
    measure: str
    gate: str
    quick: Run | None
    full: Run
    mutants: dict[str, Run] = field(default_factory=dict)
    missing: Callable[[], str | None] = lambda: None


def _model(examples: int, steps: int, mutants: Sequence[str] = ()) -> Score:
    """A4: commands, deaths, lag, lost replies, clocks and a second process in any order; a failing example is one."""
    from services.test_model import run_the_model

    score = Score(cases=examples)
    with broken(mutants):
        try:
            # A broken rule is expected to fail: making its example shorter would only take time.
            run_the_model(examples, steps, shrinks=not mutants)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            score.violations.append(repr(error)[:200])
    return score


def _alone(run: Callable[[], Score]) -> Run:
    return lambda world: run()


def _under(run: Callable[..., Score], name: str, *size: object, **more: object) -> dict[str, Run]:
    """The gate with that rule broken."""
    return {name: lambda world: run(world, *size, mutants=[name], **more)}


def _alone_under(run: Callable[..., Score], name: str, *size: object) -> dict[str, Run]:
    return {name: lambda world: run(*size, mutants=[name])}


GATES = (
    Gate(
        "A1",
        "killed at each cloud call (before, after its effect, after its answer) and each step of a write; "
        "no lag, 60 s lag, lost reply",
        "leaks, duplicates, lost records, lies = 0",
        lambda world: crashes.crash_points(world, share=80),
        crashes.crash_points,
        _under(
            crashes.crash_points,
            "record after create",
            share=3,
            commands=["provision"],
            conditions=["no lag"],
            start=48,
        )
        | _under(
            crashes.crash_points,
            "no client token",
            share=3,
            commands=["provision"],
            conditions=["lost reply"],
            start=24,
        )
        | _under(crashes.crash_points, "no grace", share=3, commands=["provision"], conditions=["60 s lag"], start=27),
    ),
    Gate(
        "A2",
        "provision, terminate and reap killed at random instants",
        "leaks, duplicates = 0",
        lambda world: crashes.random_kills(world, 10),
        lambda world: crashes.random_kills(world, 1000),
        _under(crashes.random_kills, "record after create", 1000),
    ),
    Gate(
        "A3",
        "a writer to a slow disk killed at random instants",
        "unreadable, lost = 0",
        _alone(lambda: states.state_kills(100)),
        _alone(lambda: states.state_kills(2000)),
        _alone_under(states.state_kills, "written in place", 300),
    ),
    Gate(
        "A4",
        "a model of everything: commands, deaths, lag, lost replies, wrong clocks, a second process",
        "violations = 0",
        _alone(lambda: _model(20, 40)),
        _alone(lambda: _model(5000, 50)),
        _alone_under(_model, "no grace", 300, 40) | _alone_under(_model, "no tag check", 300, 40),
    ),
    Gate(
        "A5",
        "machines that carry their timer (guard, power-off that terminates, tags) at each crash point of a provision",
        "100 % configured",
        partial(crashes.armed_timers, share=9),
        crashes.armed_timers,
        _under(crashes.armed_timers, "guard left out", share=12),
    ),
    Gate(
        "A6",
        "on Azure: killed at each cloud call (before, after its effect, after its answer) and each step of a write; "
        "no trouble, lost reply",
        "leaks, parts left behind, duplicates, lost records, lies = 0",
        lambda world: azure.azure_crash_points(world, share=100),
        lambda world: azure.azure_crash_points(world, share=4),
        _under(
            azure.azure_crash_points, "remnants passed over", commands=["provision"], conditions=["no lag"], start=23
        ),
    ),
    Gate(
        "A7",
        "machines on Azure that carry their timer after the next reap, wherever their provision was killed",
        "without one = 0",
        lambda world: azure.azure_timers(world, share=32),
        azure.azure_timers,
        _under(azure.azure_timers, "timers not set by the reaper"),
    ),
    Gate(
        "A8",
        "the guard on a Debian that boots, with systemd, cloud-init, a metadata service at its address and a unit that "
        "keeps multi-user.target from being reached: deadline, extended deadline, longest life without a tag, idleness",
        "not powered off in time = 0",
        None,
        _alone(booted_guards),
        {"guard as a shell script": _alone(partial(booted_guards, CASES[:1], is_script=True))},
        missing=missing,
    ),
    Gate(
        "A9",
        "on Google Cloud: killed at each call (before, after its effect, after its answer) and each step of a write; "
        "no trouble, lost reply",
        "leaks, parts left behind, duplicates, lost records, lies = 0",
        lambda world: gcp.gcp_crash_points(world, share=120),
        lambda world: gcp.gcp_crash_points(world, share=30),
        _under(gcp.gcp_crash_points, "record after create", commands=["provision"], conditions=["no lag"], share=4),
    ),
    Gate(
        "A10",
        "instances on Google Cloud that carry both timers (guard and deadline, run limit that deletes) wherever their "
        "provision was killed",
        "without one = 0",
        lambda world: gcp.gcp_timers(world, share=12),
        gcp.gcp_timers,
        _under(gcp.gcp_timers, "run limit left out", share=12),
    ),
    Gate(
        "B1",
        "inserts by processes at once",
        "lost = 0",
        _alone(lambda: states.racing_writers(8, 20)),
        _alone(lambda: states.racing_writers(16, 100)),
        _alone_under(states.racing_writers, "stock TinyDB storage", 8, 40),
    ),
    Gate(
        "B2",
        "extend against reap at the deadline, half of them with the reaper held between reading and deciding",
        "ended though extended = 0",
        lambda world: lost_replies.extend_against_reap(world, 8),
        lambda world: lost_replies.extend_against_reap(world, 300),
        _under(lost_replies.extend_against_reap, "deadline not read again", 24),
    ),
    Gate(
        "B3",
        "the same on Azure",
        "ended though extended = 0",
        lambda world: azure.azure_races(world, 2),
        lambda world: azure.azure_races(world, 60),
        _under(azure.azure_races, "deadline not read again", 24),
    ),
    Gate(
        "B4",
        "two copies of one state on two computers, which extend, reap and restore backups in random order, with lost "
        "replies, killed processes, expired credentials, different `max_ttl`, and extends at the same time or between "
        "a listing and the decision",
        "terminated early, not terminated = 0",
        _alone(lambda: copies.copied_states(60)),
        _alone(lambda: copies.copied_states(4000)),
        _alone_under(copies.copied_states, "tags of another copy ignored", 300)
        | _alone_under(copies.copied_states, "deadlines judged after the listing", 300)
        | _alone_under(copies.copied_states, "restored deadlines believed", 300)
        | _alone_under(copies.copied_states, "restored deadlines never enforced", 300)
        | _alone_under(copies.copied_states, "granted deadline not written again", 300)
        | _alone_under(copies.copied_states, "extensions to one second not told apart", 300)
        | _alone_under(copies.copied_states, "max_ttl of this computer for all", 300),
    ),
    Gate(
        "B5",
        "extend against reap at the deadline on Google Cloud, half of them with the reaper held before it decides",
        "ended though extended = 0",
        lambda world: gcp.gcp_races(world, 2),
        lambda world: gcp.gcp_races(world, 60),
        _under(gcp.gcp_races, "deadline not read again", 24),
    ),
    Gate(
        "C1",
        "machines of others, look-alikes and forged ones among ours",
        "changed = 0",
        lambda world: lost_replies.look_alikes(world, 60),
        lambda world: lost_replies.look_alikes(world, 2000),
        _under(lost_replies.look_alikes, "no tag check", 40),
    ),
    Gate(
        "C2",
        "another account, empty listings, nothing known by id, failing pages",
        "closed while alive = 0",
        lost_replies.missing_answers,
        lost_replies.missing_answers,
        _under(lost_replies.missing_answers, "NotFound means gone") | _under(lost_replies.missing_answers, "no grace"),
    ),
    Gate(
        "C3",
        "groups of others, look-alikes and forged ones on Azure, and things of others in our own group",
        "changed = 0",
        lambda world: azure.azure_look_alikes(world, 6),
        lambda world: azure.azure_look_alikes(world, 500),
        _under(azure.azure_look_alikes, "contents not looked at", 6),
    ),
    Gate(
        "C4",
        "instances of others, forged ones and copies of ours on Google Cloud, and lists from which a zone is missing",
        "changed, closed while alive = 0",
        lambda world: gcp.gcp_look_alikes(world, 12),
        lambda world: gcp.gcp_look_alikes(world, 60),
        _under(gcp.gcp_look_alikes, "copies taken for ours", 12),
    ),
    Gate(
        "D1",
        "flags, variables and config files that cannot be meant",
        "tracebacks, calls, other exits than 2 = 0",
        lambda world: hostile_input.malformed(world, 300),
        lambda world: hostile_input.malformed(world, 10000),
        _under(hostile_input.malformed, "numbers taken as they come", 300),
    ),
    Gate(
        "D2",
        "state files with altered bytes",
        "taken for a state, overwritten, tracebacks = 0",
        _alone(lambda: states.altered_files(200)),
        _alone(lambda: states.altered_files(5000)),
        _alone_under(states.altered_files, "no checksum", 500),
    ),
    Gate(
        "D3",
        "a disk that fails at each operation and after each part of the file",
        "old state intact",
        _alone(states.full_disks),
        _alone(states.full_disks),
        _alone_under(states.full_disks, "short writes ignored"),
    ),
    Gate(
        "D4",
        "hostile strings from clouds and users in every format",
        "raw control characters = 0",
        hostile_input.hostile_text,
        hostile_input.hostile_text,
        _under(hostile_input.hostile_text, "text printed raw"),
    ),
    Gate(
        "E1",
        "ten kinds of trouble with each API call, once and four times, through a whole life",
        "leaks, duplicates, lies, tracebacks = 0",
        lambda world: lost_replies.cloud_faults(world, share=37),
        lost_replies.cloud_faults,
        _under(lost_replies.cloud_faults, "no client token", share=1000)
        | _under(lost_replies.cloud_faults, "refused after a lost reply", share=1000)
        | _under(lost_replies.cloud_faults, "another attempt after a lost reply", share=1000),
    ),
    Gate(
        "E2",
        "clocks 3 h, a day and 10 years off, from the start and by a jump, in four time zones",
        "ended too early, not ended = 0",
        lambda world: lost_replies.wrong_clocks(world, zones=["Pacific/Kiritimati"], share=3),
        lost_replies.wrong_clocks,
        _under(lost_replies.wrong_clocks, "the laptop's clock believed", zones=["UTC"]),
    ),
    Gate(
        "E3",
        "ten kinds of trouble with each ARM call, once and four times, through a whole life on Azure",
        "leaks, parts left behind, duplicates, lies, tracebacks = 0",
        lambda world: azure.azure_faults(world, share=101),
        lambda world: azure.azure_faults(world, share=6),
        # The rule is about the parts that a failed create leaves behind: other calls and faults show nothing.
        _under(
            azure.azure_faults, "remnants passed over", actions=("PUT virtualMachines",), faults=("failed with a code",)
        ),
    ),
    Gate(
        "E4",
        "ten kinds of trouble with each call of Google's, once and four times, through a whole life on Google Cloud",
        "leaks, parts left behind, duplicates, lies, tracebacks = 0",
        lambda world: gcp.gcp_faults(world, share=73),
        lambda world: gcp.gcp_faults(world, share=11),
        _under(gcp.gcp_faults, "another name on each send", actions=("POST instances",)),
    ),
    Gate(
        "E5",
        "a job canceled as by GitHub's runner (SIGINT, 7.5 s, SIGTERM, 2.5 s, SIGKILL) while no call is answered: "
        "`provision` and `run` on each cloud",
        "running at SIGTERM, not recorded, not requested on AWS = 0",
        None,
        cancels.canceled_jobs,
        _under(cancels.canceled_jobs, "no time limit after a signal", cancels.KINDS[:1]),
    ),
    Gate(
        "F1",
        "secrets in the environment, every command and format with -v, and refusals",
        "found anywhere = 0",
        secrets.canaries,
        secrets.canaries,
        _under(secrets.canaries, "environment printed with failures"),
    ),
    Gate(
        "F2",
        "what a life under umask 000 leaves on the disk",
        "readable by others = 0",
        secrets.modes,
        secrets.modes,
        _under(secrets.modes, "modes left to the umask"),
    ),
    Gate(
        "G1",
        "processes that change one record of a state in PostgreSQL at once",
        "lost, done twice = 0",
        _alone(lambda: shared.shared_changes(4, 20)),
        _alone(lambda: shared.shared_changes(16, 200)),
        _alone_under(shared.shared_changes, "written without its version", 4, 10, 20),
        shared.missing,
    ),
    Gate(
        "G2",
        "processes that add at once more records than a budget allows, in PostgreSQL",
        "over the budget, refused within it = 0",
        _alone(lambda: shared.shared_budgets(2, 6, 3)),
        _alone(lambda: shared.shared_budgets(50, 16, 5)),
        _alone_under(shared.shared_budgets, "guarded without the serial", 3, 8, 2),
        shared.missing,
    ),
    Gate(
        "G3",
        "processes that write to PostgreSQL, killed at random instants",
        "lost, done twice = 0",
        _alone(lambda: shared.shared_client_kills(12, 3)),
        _alone(lambda: shared.shared_client_kills(500, 6)),
        _alone_under(shared.shared_client_kills, "acknowledged without a commit", 3, 2),
        shared.missing,
    ),
    Gate(
        "G4",
        "the server of PostgreSQL killed and started again while processes write",
        "lost, done twice = 0",
        _alone(lambda: shared.shared_server_kills(1, 3)),
        _alone(lambda: shared.shared_server_kills(20, 6)),
        _alone_under(shared.shared_server_kills, "acknowledged without a commit", 1, 2),
        shared.missing,
    ),
    Gate(
        "G5",
        "a commit to PostgreSQL that is lost, whose reply is lost, or that arrives late",
        "lost, done twice = 0",
        _alone(lambda: shared.shared_lost_replies(1)),
        _alone(lambda: shared.shared_lost_replies(50)),
        _alone_under(shared.shared_lost_replies, "a lost reply taken for a failure", 1)
        | _alone_under(shared.shared_lost_replies, "a late commit not forestalled", 1),
        shared.missing,
    ),
    Gate(
        "G6",
        "provision, terminate and reap on a state in PostgreSQL, killed at random instants",
        "leaks, duplicates, lost records = 0",
        None,
        lambda world: crashes.random_kills(world, 100, kind=teams.TeamScenario),
        _under(crashes.random_kills, "acknowledged without a commit", 20, kind=teams.TeamScenario),
        shared.missing,
    ),
    Gate(
        "G7",
        "extend against reap at the deadline on a state in PostgreSQL, half of them with the reaper held",
        "ended though extended = 0",
        None,
        lambda world: lost_replies.extend_against_reap(world, 60, kind=teams.TeamScenario),
        _under(lost_replies.extend_against_reap, "deadline not read again", 24, kind=teams.TeamScenario),
        shared.missing,
    ),
    Gate(
        "G8",
        "30 runners and two reapers on one state in PostgreSQL through a simulated day: other commands between a read "
        "and its write, deaths, stalls, lost replies of the cloud and of commits, restarts and outages of the server",
        "leaks, duplicates, terminated early, over the budget = 0",
        _alone(lambda: team_day(4, 2.6)),
        _alone(lambda: team_day(30, 24)),
        _alone_under(team_day, "not terminated by tags", 9, 3)
        | _alone_under(team_day, "no grace", 6, 6)
        | _alone_under(team_day, "guarded without the serial", 6, 24),
        shared.missing,
    ),
    Gate(
        "G9",
        "a move of a state to DynamoDB or from it that dies before or after any of its writes and is run again, or "
        "stands still at any of its writes until the same move is done elsewhere",
        "lost, both in use, overwritten = 0",
        _alone(lambda: moves.moves([3], ["after, to", moves.OVERTAKEN])),
        _alone(moves.moves),
        _alone_under(moves.moves, "filled though the move is done", [3], [moves.OVERTAKEN])
        | _alone_under(moves.moves, "begun though the move is done", [1], [moves.OVERTAKEN]),
    ),
    Gate(
        "G10",
        "four reapers that share the lease of a state in PostgreSQL, and stall between any two of their steps",
        "held by two, written by one that had lost it = 0",
        _alone(lambda: stalled_reapers(60)),
        _alone(lambda: stalled_reapers(3000)),
        _alone_under(stalled_reapers, "fence of a lease not checked", 1000),
        shared.missing,
    ),
    Gate(
        "G11",
        "two simultaneous reapers on a state in PostgreSQL with a hook for terminations; in every second round one "
        "reaper is killed",
        "called twice without a kill, never called = 0",
        lambda world: teams.hooks_of_a_team(world, 1),
        lambda world: teams.hooks_of_a_team(world, 30),
        _under(teams.hooks_of_a_team, "hooks called without their lease", 24),
        shared.missing,
    ),
    Gate(
        "H1",
        "pools under random schedules of ticks, leases, releases, deaths, two processes at once, budget cuts, lost "
        "replies, failing queues and a cron that stops",
        "double leases, leases cut short, clean-ups of instances in use, launches over a limit, instances without "
        "cron = 0",
        _alone(lambda: pools.pool_schedules(25)),
        _alone(lambda: pools.pool_schedules(1000)),
        _alone_under(pools.pool_schedules, "leases not checked when they are written", 200)
        | _alone_under(pools.pool_schedules, "maximum not checked when it is reached", 200)
        | _alone_under(pools.pool_schedules, "pool budget not checked when it is spent", 200)
        | _alone_under(pools.pool_schedules, "pool instances with the longest TTL", 200)
        | _alone_under(pools.pool_schedules, "clean-ups not marked", 200),
    ),
    Gate(
        "H2",
        "a tick of a pool that terminates, renews and launches, killed at each cloud call (before, after its effect, "
        "after its answer) and each step of a write; no lag, 60 s lag, lost reply",
        "leaks, duplicates, lost records, leases cut short, launches over a limit = 0",
        lambda world: pool_ticks.ticks_killed(world, conditions=["no lag"], at=[(8, Phase.DONE)]),
        pool_ticks.ticks_killed,
        _under(pool_ticks.ticks_killed, "record after create", conditions=["no lag"], at=[(8, Phase.DONE)])
        | _under(
            pool_ticks.ticks_killed,
            "launches of a killed tick not counted",
            conditions=["no lag"],
            at=[(8, Phase.DONE)],
        ),
    ),
)


def measured(gate: Gate, workspace: World, *, is_quick: bool) -> tuple[list[str], list[str]]:
    """The gate's row of the table, and what is to be said of it: what it and its mutants counted."""
    score = (gate.quick or gate.full if is_quick else gate.full)(workspace)
    text = [f"{gate.id}: {len(score.violations)} in {score.cases} · {gate.measure}"]
    text += [f"    {wrong}" for wrong in score.violations[:5]]
    calls = []
    for name, run in gate.mutants.items():
        broken_score = run(workspace)
        calls.append(f"{name}: {len(broken_score.violations)} in {broken_score.cases}")
        text.append(f"    mutant {calls[-1]}")
    row = [gate.id, gate.measure, gate.gate, str(score.cases), str(len(score.violations)), "; ".join(calls)]
    return row, text


def measured_apart(gate_id: str, *, is_quick: bool) -> list[str]:
    """The same in a process of its own; its row, empty where this computer cannot run it."""
    reason = next(gate for gate in GATES if gate.id == gate_id).missing()
    if reason is not None:
        print(f"{gate_id}: skipped: {reason}", flush=True)  # noqa: T201 - its output is what it is for
        return []
    command = [sys.executable, "-m", "faults.scorecard", "--one", gate_id, *(["--quick"] if is_quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    *output, row = done.stdout.splitlines() or ["", "[]"]
    print("\n".join(output) or done.stderr, flush=True)  # noqa: T201 - its output is what it is for
    actual: list[str] = json.loads(row)
    return actual or [gate_id, "", "", "0", "it broke down", ": 0 in"]


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """The rows in Markdown."""
    head = ("id", "what is done", "gate", "cases", "violations", "violations with a rule broken by hand")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def write(path: Path, rows: Sequence[Sequence[str]], spent: str) -> None:
    """Put the rows into the document, between its two marks, with the date and the versions they were measured with.

    Where only some gates were measured, the rows of the others stay as they are.
    """
    import botocore
    import moto

    versions = f"Python {platform.python_version()}, botocore {botocore.__version__}, moto {moto.__version__}"
    existing = [line.strip("| ").split(" | ") for line in part(path, "scorecard").splitlines() if line.startswith("| ")]
    known = {row[0]: row for row in (*existing, *rows)}
    table = as_table([known[gate.id] for gate in GATES if gate.id in known])
    reported = f"Measured {datetime.now(UTC):%Y-%m-%d} by `make torture`{spent} with {versions}."
    put(path, "scorecard", f"{reported}\n\n{table}")


def main(argv: Sequence[str]) -> int:
    """Run it, print it, and say by the exit code whether every gate held and every mutant failed."""
    parser = argparse.ArgumentParser(description="Run the scorecard of reliability.")
    parser.add_argument("--quick", action="store_true", help="in the sizes of the tests")
    parser.add_argument("--only", help="some gates, such as A1,E1")
    parser.add_argument("--write", type=Path, help="put the table into this document")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        with world() as workspace:
            row, text = measured(
                next(gate for gate in GATES if gate.id == options.one), workspace, is_quick=options.quick
            )
        print("\n".join(text), json.dumps(row), sep="\n")  # noqa: T201 - read by the process above
        return 0
    every = [gate.id for gate in GATES if gate.quick or not options.quick]
    wanted = options.only.split(",") if options.only else every
    started = datetime.now(UTC)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        rows = [row for row in pool.map(partial(measured_apart, is_quick=options.quick), wanted) if row]
    print(f"\n{as_table(rows)}")  # noqa: T201 - its output is what it is for
    if options.write:
        spent = f" in {(datetime.now(UTC) - started).total_seconds() / 60:.0f} minutes"
        write(options.write, rows, spent if len(rows) == len(GATES) else "")
    holds = all(row[4] == "0" for row in rows)
    fails = all(": 0 in" not in row[5] for row in rows)
    return 0 if holds and fails else 1


if __name__ == "__main__":
    from support.sdk import share_models

    import gpuctl.cli  # noqa: F401 - it switches collection off, which only the console script wants

    gc.enable()
    share_models()
    sys.exit(main(sys.argv[1:]))
