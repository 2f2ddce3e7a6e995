"""`make boot`: boot the four cases, print what each showed, and say by the exit code whether all were right."""

import sys
from datetime import UTC, datetime

from boot.cases import boot_all
from boot.system import missing


def main() -> int:
    """The exit code: 0 also where this computer cannot boot one, which is said."""
    reason = missing()
    if reason is not None:
        print(f"skipped: {reason}")  # noqa: T201 - its output is what it is for
        return 0
    started = datetime.now(UTC)
    results = boot_all()
    for each in results:
        print("\n    ".join((each.line, *each.console)))  # noqa: T201
    print(f"took {(datetime.now(UTC) - started).total_seconds():.0f} s")  # noqa: T201
    return 1 if any(each.wrong for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
