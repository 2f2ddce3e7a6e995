"""Gates D1 and D4: input that cannot be meant, and text that would command a terminal."""

import itertools
import random
import unicodedata
from collections.abc import Sequence

from faults.world import Scenario, Score, World
from support.instances import a_ready_instance

WRONG = (
    "", " ", "-1", "-0", "nan", "NaN", "inf", "-inf", "1e309", "0x10", "9" * 400, "٣", "１２", "a\nb", "a\tb",
    "\x1b[2J", "../../x", "--", "-", "💥", "\udcff", "1 2", "1,5", "1_0", "true", "null", "[]", "{}", "%s", "$(id)",
    "`id`", "'", '"',
)  # fmt: skip
PROVISION = ("provision", "g4dn.xlarge", "--region", "us-east-1")
FLAGS: tuple[tuple[str, ...], ...] = (
    *((*PROVISION, flag) for flag in ("--ttl", "--disk-size", "--count", "--timeout", "--tag", "--provider")),
    PROVISION[:-1],
    ("provision", "--region", "us-east-1"),
    *(("list", flag) for flag in ("--status", "--older-than", "--tag", "--provider")),
    ("stats", "--since"),
    *(("types", flag) for flag in ("--max-price", "--min-gpu-memory", "--provider")),
    ("terminate", "--tag"),
    ("terminate", "--timeout"),
    ("reap", "--interval"),
    ("reap", "--max-orphans"),
    ("extend", "inst-000000000001", "--by"),
    ("extend", "inst-000000000001", "--ttl"),
    ("completion",),
    ("-o",),
    ("--color",),
)
# A word that one of these takes after all.
MEANT = {("reap", "--max-orphans"): {"-0"}}
ONE = "inst-000000000001"
VARIABLES = (
    "GPUCTL_MAX_TTL",
    "GPUCTL_CONFIRM_ABOVE_USD",
    "GPUCTL_ARCHIVE_AFTER",
    "GPUCTL_OUTPUT",
    "GPUCTL_REAP_STATE_IDS",
)
CONFIGS = (
    "max_ttl = ", "max_ttl = 5", 'max_ttl = "5"', 'max_ttl = "-1m"', 'max_tll = "5m"', "[aws]\nregion = 5", "aws = 1",
    "[aws]\nregoin = 'x'", "confirm_above_usd = true", 'confirm_above_usd = "much"', "reap_state_ids = 'x'", "\x00",
    "[[aws]]", "reap_state_ids = ['NO']", "archive_after = '1'", "[aws]\nsweep_regions = [1]", "a = 1\na = 2",
    "\ufeff[aws", "[oracle]\n",
)  # fmt: skip

_OPENERS = (
    "\x1b[2J", "\x1b]52;c;aGk=\x07", "\x1b]8;;http://x\x1b\\", "\r", "\x07", "\x9b31m", "\u202e", "\u2066", "\x00",
    "\x7f", "\x1b]0;t\x07", "\x08\x08", "\u2028", "\u200f", "\x85",
)  # fmt: skip
_BODIES = ("rm -rf", "=cmd()", '";rm', "[red]x[/red]")
HOSTILE = tuple(f"{opener}{body}" for opener, body in itertools.product(_OPENERS, _BODIES))
FORMATS = ("table", "tsv", "csv", "json")


def malformed(world: World, count: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """D1: flags, variables and config files that cannot be meant are exit 2, one line, no call and no trace."""
    score, chance = Score(), random.Random(seed)
    with world.scenario(mutants) as scenario:
        scenario.store.add([a_ready_instance()], lambda present: None)
        before = scenario.state.read_bytes()
        every = [(flag, value) for flag in FLAGS for value in WRONG if value not in MEANT.get(flag, ())]
        for _ in range(count):
            kind = chance.random()
            if kind < 0.8:
                flag, value = chance.choice(every)
                extra = chance.choice(((), ("-o", "json"), ("--quiet",), ("--no-input",)))
                _judge(scenario, score, (*flag, value), {}, extra if flag != ("-o",) else ())
            elif kind < 0.9:
                name = chance.choice(VARIABLES)
                _judge(scenario, score, ("reap",), {name: chance.choice(WRONG)})
            else:
                (scenario.folder / "bad.toml").write_text(chance.choice(CONFIGS))
                _judge(scenario, score, ("reap", "--config", str(scenario.folder / "bad.toml")), {})
        if scenario.state.read_bytes() != before:
            score.violations.append("the state was changed")
    return score


def hostile_text(world: World, mutants: Sequence[str] = ()) -> Score:
    """D4: text from clouds and users, in every format: no control, format or surrogate character is printed raw."""
    score = Score()
    with world.scenario(mutants) as scenario:
        facts = dict.fromkeys(("user", "task", "purpose", "last_error", "public_ip", "status_message"), "x")
        scenario.store.add([a_ready_instance(**facts)], lambda present: None)
        for text in HOSTILE:
            fields = dict.fromkeys(facts, text) | {"tags": {text: text}, "metadata": {"imageId": text}}
            scenario.store.update(ONE, lambda item, fields=fields: item.with_fields(**fields))  # type: ignore[misc]
            for form in FORMATS:
                for argv in (("list", "-a"), ("get", ONE)):
                    ran = scenario.run(*argv, "-o", form, "--color", "never", terminal=form == "table")
                    printed = (ran.out + ran.err).replace("\r\x1b[K", "")
                    score.add(f"{argv[0]} {form} {text!a}", _raw(printed))
            if score.has_failed_as(mutants):
                break
    return score


def _judge(
    scenario: Scenario, score: Score, argv: Sequence[str], environ: dict[str, str], extra: Sequence[str] = ()
) -> None:
    case = f"{environ} {' '.join(argv)!a}"
    try:
        ran = scenario.run(*extra, *argv, environ=environ)
    except AssertionError:
        score.add(case, ["traceback"])
        return
    wrong = [] if ran.code == 2 else [f"exit {ran.code}"]
    wrong += ["a call was made"] if scenario.wire.sent else []
    wrong += ["more than a line and a hint"] if len(ran.err.splitlines()) > 2 else []
    scenario.wire.sent.clear()
    score.add(case, wrong)


def _raw(printed: str) -> list[str]:
    actual = {
        char for char in printed if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    return [f"raw {sorted(actual)!a}"] if actual else []
