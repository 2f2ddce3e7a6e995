"""`gpuctl terminate`: end instances, and wait until the cloud has proven them gone."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import ID, argument, flag, tags_of
from gpuctl.cli.render.figures import all_in, counted
from gpuctl.cli.render.instances import COLUMNS, row, table
from gpuctl.cli.render.result import Result, overall_error
from gpuctl.documents.events import action_shape
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.money.cost import spent
from gpuctl.errors import (
    GpuctlError,
    Interrupted,
    PartialError,
    StateFault,
    StateLockedError,
    StateUnusableError,
    UnresolvedError,
    UsageError,
)
from gpuctl.providers.registry import all_facts
from gpuctl.services.query import Selection, all_records, current_records, resolve
from gpuctl.services.terminate import TerminateResult, end, end_unsaved, wait_until_terminated

EXAMPLES = """\
gpuctl terminate train-7
gpuctl terminate --task nightly --yes
gpuctl list -q --older-than 2h | gpuctl terminate -"""

_FORCED = "; ".join(f"{facts.force} ({facts.title})" for facts in all_facts() if facts.force)


def command(
    ctx: typer.Context,
    instances: Annotated[
        list[str] | None,
        argument(ID, "Instance IDs or names; `-` reads them from stdin", "[ID]..."),
    ] = None,
    task: options.Task = None,
    tag: options.Tags = None,
    user: options.User = None,
    every: Annotated[bool, flag("All active instances in the state", "--all")] = False,
    yes: options.Yes = False,
    force: Annotated[bool, flag(f"Also delete {_FORCED}", "--force")] = False,
    wait: Annotated[bool, flag("Wait until termination is confirmed", "--wait/--no-wait")] = True,
    timeout: options.Timeout = timedelta(minutes=5),
) -> Result:
    """Terminate instances. An instance that is already terminated is not an error.

    The request is saved first, so the reaper retries it if this command fails. Asks for confirmation on a terminal;
    without one, --task, --tag, --user and --all need --yes.
    """
    context: Context = ctx.find_root().obj
    by_selection = every or task is not None or user is not None or bool(tag)
    if bool(instances) == by_selection:
        raise UsageError(
            "specify instances: IDs, or one of --task, --tag, --user, --all",
            hint="gpuctl terminate ID, or gpuctl list",
        )
    if by_selection:
        selection = Selection(task=task, user=user, tags=tags_of(tag))
        now = context.clock.now()
        chosen = [
            record
            for record in all_records(context.wiring.store, with_archived=False)
            if record.is_active and selection.matches(record, now)
        ]
        missing: dict[str, GpuctlError] = {}
    else:
        texts = _texts(context, instances or [])
        try:
            chosen, missing = _selected_by_name(context, texts)
        except StateUnusableError as error:
            return _terminate_by_tags(context, texts, error)
    _confirm(context, chosen, yes=yes, by_selection=by_selection)
    return _terminate(context, chosen, missing, patience=timeout if wait else None, force=force)


def _texts(context: Context, texts: Sequence[str]) -> list[str]:
    """The names given, with those on stdin in the place of `-`."""
    if "-" not in texts:
        return list(texts)
    from_input = [line.split("\t")[0].strip() for line in context.streams.input.read().splitlines()]
    return [*(text for text in texts if text != "-"), *(text for text in from_input if text)]


def _terminate_by_tags(context: Context, texts: Sequence[str], error: StateUnusableError) -> Result:
    """Terminate the instances with these complete IDs by their tags, because the state cannot be used."""
    from gpuctl.domain.tags import RECORD_ID
    from gpuctl.services.reap.by_tags import terminate_by_tags
    from gpuctl.wiring.reaper import configured_regions

    ids = [text for text in texts if RECORD_ID.fullmatch(text)]
    is_anothers = error.fault in (StateFault.OTHER, StateFault.MOVED)
    state_id = None if is_anothers or not ids else context.wiring.store.state_id
    if state_id is None:
        raise error
    wiring = context.wiring
    context.progress.step("querying the providers")
    times, places = wiring.state.reaper.read(), configured_regions(wiring)
    result = terminate_by_tags(wiring.runtime, state_id, ids, times, places)
    lines = [f"{done.action.detail}: {done.error or 'its termination was requested'}" for done in result.done]
    lines += result.problems
    is_open = bool(result.problems) or len(result.done) < len(texts) or any(done.error for done in result.done)
    message = "; ".join([error.message, *(lines or ["no instance with these tags was found"])])
    failed = UnresolvedError(message, hint=error.hint) if is_open else type(error)(message, hint=error.hint)
    actions = [action_shape(done.action, done.record, done.error) for done in result.done]
    return Result({"instances": [], "count": 0, "actions": actions}, error=failed, footer=lines)


def _terminate_unsaved(
    context: Context, records: Sequence[Instance], error: StateUnusableError | StateLockedError, *, force: bool
) -> Result:
    """Terminate instances whose termination cannot be saved: they cost money all the same."""
    failures = end_unsaved(context.wiring.runtime, records, force=force)
    lines = [
        f"{record.label}: {failures[record.id].message if record.id in failures else 'its termination was requested'}"
        for record in records
    ]
    message = "; ".join([error.message, *lines])
    failed = UnresolvedError(message, hint=error.hint) if failures else type(error)(message, hint=error.hint)
    shapes = [instance_shape(record, context.clock.now()) for record in records]
    return Result({"instances": shapes, "count": len(shapes)}, error=failed)


def _selected_by_name(context: Context, texts: Sequence[str]) -> tuple[list[Instance], dict[str, GpuctlError]]:
    """The instances of these names, each once, and what is wrong with those that name none.

    StateUnusableError where the state cannot be read.
    """
    by_id: dict[str, Instance] = {}
    missing: dict[str, GpuctlError] = {}
    for text in texts:
        try:
            record = resolve(context.wiring.store, text, whole_only=not context.is_terminal)
        except StateUnusableError:
            raise
        except GpuctlError as error:
            missing[text] = error
        else:
            by_id[record.id] = record
    if missing and len(texts) > 1:
        missing = {text: _with_argument(error, text) for text, error in missing.items()}
    return list(by_id.values()), missing


def _with_argument(error: GpuctlError, text: str) -> GpuctlError:
    # Several were named: say which one it was, in the same kind of failure.
    return type(error)(f"{error.message}: {as_typed(text)}", hint=error.hint)


def _confirm(context: Context, chosen: Sequence[Instance], *, yes: bool, by_selection: bool) -> None:
    active = [record for record in chosen if record.is_active]
    if yes or not active:
        return
    if not context.may_prompt:
        if by_selection:
            raise UsageError(
                f"terminating {len(active)} instances by filter requires confirmation",
                hint="add `--yes`, or pass the IDs",
            )
        return
    now = context.clock.now()
    for record in active:
        context.progress.info(
            f"{record.id}  {record.name or ''}  {record.instance_type}  {record.region}  {record.user}  "
            f"{all_in(spent(record, now))}"
        )
    question = f"Terminate {'it' if len(active) == 1 else f'these {len(active)}'}?"
    if not context.confirm(question):
        raise UsageError("nothing was terminated")


def _terminate(
    context: Context,
    chosen: Sequence[Instance],
    missing: dict[str, GpuctlError],
    *,
    patience: timedelta | None,
    force: bool,
) -> Result:
    """Terminate the active ones of these; `patience` is how long to wait for confirmation, None for not at all."""
    active = [record.id for record in chosen if record.is_active]
    outcome, interrupted = TerminateResult([]), None
    if active:
        context.progress.step(f"terminating {counted(len(active), 'instance')}")
        try:
            outcome = end(context.wiring.runtime, active, Reason.USER, force=force)
            if patience is not None:
                unaccepted = outcome.errors
                outcome = wait_until_terminated(context.wiring.runtime, active, patience)
                outcome.errors = {key: unaccepted.get(key, error) for key, error in outcome.errors.items()}
        except (StateUnusableError, StateLockedError) as unsaved:
            return _terminate_unsaved(context, [record for record in chosen if record.is_active], unsaved, force=force)
        except Interrupted as signal:
            outcome = TerminateResult(_reread(context, chosen))
            interrupted = _interrupted(signal, [record for record in outcome.records if record.is_active])
    now = context.clock.now()
    present = {record.id: record for record in outcome.records}
    records = [present.get(record.id, record) for record in chosen]
    shapes = [instance_shape(record, now) for record in records]
    errors, requested = {**outcome.errors, **missing}, len(records) + len(missing)
    partial = PartialError(f"{len(errors)} of {requested} could not be terminated", hint="gpuctl list")
    error = interrupted or overall_error(errors, requested, partial)
    document: dict[str, object] = {"instances": shapes, "count": len(shapes)}
    if len(shapes) == 1 and not missing:
        document["instance"] = shapes[0]
    if error is None:
        document["message"] = _message(records)
    return Result(
        document=document,
        columns=COLUMNS,
        rows=[row(record, now) for record in records],
        ids=[record.id for record in records],
        draw=lambda width: table(records, now, width),
        footer=[_message(records)]
        if error is None
        else _savings_lines(outcome.records, missing)
        if interrupted
        else [],
        error=error,
        # In text they would take the place of the signal's own line and hint.
        errors={} if interrupted else errors,
        requested=requested,
    )


def _interrupted(signal: Interrupted, records: Sequence[Instance]) -> Interrupted:
    single = f"gpuctl get {records[0].label} --refresh" if records else None
    hint = "gpuctl list --refresh" if len(records) > 1 else single
    return Interrupted(signal.message, signal_number=signal.signal_number, hint=hint)


def _savings_lines(records: Sequence[Instance], missing: Mapping[str, GpuctlError]) -> list[str]:
    stopping = (
        f"{record.label} is STOPPING: the termination is saved, and the reaper continues it"
        for record in records
        if record.status is Status.STOPPING
    )
    return [*stopping, *(error.message for error in missing.values())]


def _reread(context: Context, records: Sequence[Instance]) -> list[Instance]:
    """These records as they are now; none where the state cannot be read."""
    try:
        return current_records(context.wiring.store, records)
    except GpuctlError:
        return []


def _message(records: Sequence[Instance]) -> str:
    if not records:
        return "No instances to terminate"
    if any(record.is_active for record in records):
        return "Instance termination requested" if len(records) == 1 else "Instances termination requested"
    return "Instance terminated successfully" if len(records) == 1 else "Instances terminated successfully"
