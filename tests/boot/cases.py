"""The four ways in which the guard ends an instance, each on one that really boots, and the rule broken by hand."""

import re
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from boot.instance import Booted, booted
from boot.system import debian_root
from faults.world import Score
from providers.aws.test_user_data import ORDER

from gpuctl.domain.tags import EXPIRES_AT, deadline_tag
from gpuctl.providers.aws.guard import CONSOLE_PREFIX, GPU_PREFIX, GRACE
from gpuctl.providers.aws.userdata import user_data

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
# The guard runs every 30 s, its timer is up to 5 s late, and the system takes a while to stop.
LATE = timedelta(seconds=120)
SETTLE = 5 * MINUTE  # what the guard grants to a tag that cannot be read after a boot
FRESH = 10 * MINUTE  # the time after a boot in which no instance is idle
_LAST_WORDS = re.compile(rf"{CONSOLE_PREFIX} powering off at \d{{8}}t\d{{6}}z: (.*)")


@dataclass(frozen=True)
class Case:
    """An instance and when it must power off, counted from its boot.

    `deadline` is its first tag, None for none; `moved` the tag that it gets a minute before that. `why` are the last
    words of its guard.
    """

    name: str
    why: str
    ends_after: timedelta
    deadline: timedelta | None = None
    moved: timedelta | None = None
    max_ttl: timedelta = 2 * HOUR
    idle: timedelta | None = None


CASES = (
    Case("by its deadline", "deadline .* passed", MINUTE + GRACE, deadline=MINUTE),
    Case("by an extended deadline", "deadline .* passed", 4 * MINUTE + GRACE, deadline=MINUTE, moved=4 * MINUTE),
    Case("by its longest life, without a tag", "tag missing, 60s after first boot", SETTLE, max_ttl=MINUTE),
    Case("by idleness", "idle for 300s: .*", FRESH, deadline=2 * HOUR, idle=5 * MINUTE),
)


@dataclass
class Seen:
    """What one case showed. `took` is None where the instance was still up."""

    case: Case
    took: timedelta | None
    wrong: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The case in one line."""
        took = f"off after {self.took.total_seconds():.0f} s" if self.took is not None else "still up"
        due = f"due after {self.case.ends_after.total_seconds():.0f} s"
        return f"{self.case.name}: {took} ({due}){''.join(f'; {each}' for each in self.wrong)}"


def boot_all(cases: Sequence[Case] = CASES, spoil: Callable[[str], str] = str) -> list[Seen]:
    """Boot every case at once from one Debian root and watch until each must have powered off.

    `spoil` changes the user data before it is sent. Needs root, and what `boot.system.missing` names.
    """
    with debian_root() as root, ThreadPoolExecutor(len(cases)) as pool:
        return list(pool.map(lambda case: _watch(root, case, spoil), cases))


def booted_guards(cases: Sequence[Case] = CASES, *, is_script: bool = False) -> Score:
    """The gate. With the rule broken (`is_script`) the guard is a shell script, which cloud-init runs last."""
    score = Score()
    for results in boot_all(cases, as_script if is_script else str):
        score.add(results.case.name, results.wrong)
    return score


def as_script(text: str) -> str:
    """The user data with the guard as a shell script, which cloud-init runs in its last stage."""
    return text.replace("text/cloud-boothook", "text/x-shellscript").removeprefix("#cloud-boothook\n")


def _watch(root: Path, case: Case, spoil: Callable[[str], str]) -> Seen:
    order = replace(ORDER, max_ttl=case.max_ttl, idle=case.idle)
    begun = datetime.now(UTC)
    tags = {EXPIRES_AT: deadline_tag(begun + case.deadline)} if case.deadline is not None else {}
    with booted(root, f"gpuctl-{uuid.uuid4().hex[:8]}", spoil(user_data(order)), tags) as instance:
        off_at = _until_off(instance, case, begun)
        returned, console = instance.process.returncode, instance.console
    took = off_at - begun if off_at is not None else None
    return Seen(case, took, _wrong(case, took, returned, console), console)


def _until_off(instance: Booted, case: Case, begun: datetime) -> datetime | None:
    if case.moved is not None and case.deadline is not None:
        off_at = instance.wait_until(begun + case.deadline - MINUTE / 3)
        if off_at is not None:
            return off_at
        instance.metadata.tags[EXPIRES_AT] = deadline_tag(begun + case.moved)
    return instance.wait_until(begun + case.ends_after + LATE)


def _wrong(case: Case, took: timedelta | None, returned: int | None, console: Sequence[str]) -> list[str]:
    if took is None:
        return ["it did not power off"]
    wrong = []
    # A tag holds whole seconds.
    if took < case.ends_after - timedelta(seconds=1):
        wrong.append("it powered off too early")
    if returned != 0:
        wrong.append(f"it ended with {returned}")
    message = [match[1] for line in console if (match := _LAST_WORDS.fullmatch(line))]
    if not message or not re.fullmatch(case.why, message[-1]):
        wrong.append(f"its last words are {message[-1:]}")
    if not any(line.startswith(f"{GPU_PREFIX} 1 x Tesla T4, driver 595") for line in console):
        wrong.append("it named no GPU")
    return wrong
