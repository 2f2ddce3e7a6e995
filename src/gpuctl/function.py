"""The reaper where nobody types: a function in a cloud, or a container that a scheduler starts.

It does what `gpuctl reap` does, on the state that GPUCTL_STATE names, without the command line and its libraries.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuctl.clock import Clock, SystemClock
from gpuctl.documents import SCHEMA_VERSION
from gpuctl.documents.errors import error_shape
from gpuctl.documents.events import reap_shape
from gpuctl.errors import GpuctlError, UsageError
from gpuctl.providers.registry import secret_variables
from gpuctl.redaction import Redactor
from gpuctl.services.reap.loop import ReapReport
from gpuctl.store.registry import FILE, scheme_of
from gpuctl.wiring.hooks import notify_hooks
from gpuctl.wiring.invocation import Wiring
from gpuctl.wiring.reaper import open_reaper, reap_options
from gpuctl.wiring.selection import StateSelection, refuse_unknown_sandbox

# The variable by which a process learns what runs it, and the name of that.
_PLACES = {
    "AWS_LAMBDA_FUNCTION_NAME": "aws-lambda",
    "CLOUD_RUN_JOB": "cloud-run",
    "KUBERNETES_SERVICE_HOST": "kubernetes",
}


class ReapFailedError(Exception):
    """A run that failed or left something unresolved; its text is free of secrets."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The JSON document of a run, what to say of its failure (None if it succeeded), and its exit code."""

    document: dict[str, Any]
    failure: str | None
    exit_code: int


def handler(event: object, context: object) -> dict[str, Any]:
    """One run of the reaper, as AWS Lambda calls it: the document of `gpuctl reap -o json`.

    Raises ReapFailedError, after printing the document, where a run failed or left something unresolved, so that the
    alarm of the function sees it. A second call does what is left to do.
    """
    outcome = reap_once(os.environ, SystemClock())
    if outcome.failure is not None:
        _print(outcome)
        # The causes may contain secrets, and the platform prints them.
        raise ReapFailedError(outcome.failure) from None
    return outcome.document


def main() -> int:
    """One run of the reaper in a container: prints the document of `gpuctl reap -o json`, and returns its exit code."""
    outcome = reap_once(os.environ, SystemClock())
    _print(outcome)
    if outcome.failure is not None:
        sys.stderr.write(f"error: {outcome.failure}\n")
    return outcome.exit_code


def reap_once(environ: Mapping[str, str], clock: Clock) -> Outcome:
    """One run of the reaper on the state that `environ` names, its hooks included. Expected failures are returned."""
    redactor = Redactor(environ, secret_variables())
    document: dict[str, Any] = {}
    error: GpuctlError | None
    try:
        report = _run(environ, clock, redactor)
        document, error = reap_shape(report.result.done, is_dry_run=False), report.error
    except GpuctlError as failure:
        error = failure
    head: dict[str, Any] = {"success": error is None, "schemaVersion": SCHEMA_VERSION}
    if error is None:
        return Outcome(_cleaned({**head, **document}, redactor), None, 0)
    head["error"] = error_shape(error)
    text = f"{error.message}; hint: {error.hint}" if error.hint else error.message
    return Outcome(_cleaned({**head, **document}, redactor), redactor.clean(text), error.exit_code)


def platform_name_of(environ: Mapping[str, str]) -> str:
    """What runs this process: `aws-lambda`, `cloud-run` or `kubernetes`; `a container` for anything else."""
    return next((name for variable, name in _PLACES.items() if environ.get(variable)), "a container")


def _run(environ: Mapping[str, str], clock: Clock, redactor: Redactor) -> ReapReport:
    refuse_unknown_sandbox(environ)
    selection = StateSelection.of(environ)
    if selection.state is None or scheme_of(selection.state) == FILE:
        raise UsageError(
            "GPUCTL_STATE must be the URL of a database: a file is lost when the function stops",
            hint="set GPUCTL_STATE to dynamodb://TABLE?region=REGION or postgresql://HOST/DATABASE",
        )
    # Only the folder for temporary files can be written to. What is saved there is lost with the instance.
    surroundings = {"XDG_STATE_HOME": os.path.realpath(tempfile.gettempdir()), **environ}
    wiring = Wiring(selection, surroundings, clock, _Log(redactor), redactor, platform_name=platform_name_of(environ))
    report = open_reaper(wiring, reap_options(wiring)).run()
    for problem in report.problems:
        wiring.progress.warn(f"unresolved: {problem}")
    notify_hooks(wiring, is_reaper=True)
    return report


def _cleaned(document: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    cleaned: dict[str, Any] = json.loads(redactor.clean(json.dumps(document, ensure_ascii=True)))
    return cleaned


def _print(outcome: Outcome) -> None:
    sys.stdout.write(json.dumps(outcome.document, ensure_ascii=True) + "\n")


@dataclass(frozen=True, slots=True)
class _Log:
    """Lines on stderr, which every platform keeps in its log."""

    redactor: Redactor

    def info(self, text: str) -> None:
        sys.stderr.write(f"{self.redactor.clean(text)}\n")

    def warn(self, text: str, *, is_complete: bool = False) -> None:
        sys.stderr.write(f"warning: {self.redactor.clean(text)}\n")

    def step(self, text: str) -> None:
        return None

    def clear(self) -> None:
        return None

    def trace(self, text: str) -> None:
        sys.stderr.write(self.redactor.clean(text))


if __name__ == "__main__":
    sys.exit(main())
