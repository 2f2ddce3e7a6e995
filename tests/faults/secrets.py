"""Gates F1 and F2: what must be nowhere, and what nobody else may read."""

from collections.abc import Sequence

import pytest
from faults.world import PROVISION, Score, World
from support.canaries import canary_hits
from support.modes import open_files
from support.wire import refuse

CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canarysecret/4Jx+ambient",
    "AWS_SESSION_TOKEN": "canarytoken//IQoJb3JpZ2lu",
    "DATABASE_URL": "canary-of-somebody-else",
}
LIFE: tuple[tuple[str, ...], ...] = (
    PROVISION,
    ("get", "n", "--refresh"),
    ("list", "--all", "--refresh"),
    ("stats",),
    ("extend", "n", "--by", "5m"),
    ("reap", "--sweep"),
    ("get", "nobody"),
    ("provision", "g4dn.xlarge", "--region", "us-east-1", "--disk-size", "1"),
    ("terminate", "n"),
    ("recover", "--dry-run"),
)
FORMATS = ("json", "table", "csv", "tsv")
REFUSED = ("RunInstances", "DescribeInstances", "TerminateInstances", "CreateTags")


def canaries(world: World, mutants: Sequence[str] = ()) -> Score:
    """F1: secrets in the environment, every command in every format with -v, and every failure of a cloud."""
    score = Score()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CANARIES.items():
            patch.setenv(name, value)
        for form in FORMATS:
            with world.scenario(mutants) as scenario:
                scenario.environ |= CANARIES
                body = {}
                for number, argv in enumerate(LIFE):
                    if number == 4:
                        for action in REFUSED:
                            scenario.wire.arm(action, refuse("AuthFailure", 403))
                    process = scenario.start(*argv, "-o", form, "-v")
                    process.wait()
                    body[f"{argv[0]} {number}"] = process.out + process.err
                own = [path for path in scenario.folder.glob("state.json*") if path.is_file()]
                body |= {path.name: path.read_text(errors="replace") for path in own}
                for location, text in body.items():
                    score.add(f"{form} {location}", canary_hits(CANARIES, body={location: text}))
                score.add(f"{form} sent", canary_hits(CANARIES, body={}, sent=scenario.wire.sent))
            if score.has_failed_as(mutants):
                break
    return score


def modes(world: World, mutants: Sequence[str] = ()) -> Score:
    """F2: whatever a whole life leaves on the disk under umask 000 is for nobody else."""
    score = Score()
    with world.scenario(mutants) as scenario:
        own = scenario.folder / "own"
        scenario.environ |= {"GPUCTL_STATE": str(own / "state.json"), "XDG_STATE_HOME": str(own)}
        for argv in (*LIFE, ("reap",)):
            scenario.start(*argv, umask=0).wait()
        actual = open_files(own)
        score.cases = len(list(own.rglob("*")))
        score.violations = actual
    return score
