"""Rules of gpuctl's, broken by hand: each is an edit of one function's source, made in memory.

An edit whose text is no longer in the source is an error: a mutant that breaks nothing would prove nothing.
"""

import inspect
import pkgutil
import textwrap
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest

import gpuctl

Break = Callable[[pytest.MonkeyPatch], None]


def load_all_modules() -> None:
    """Import every module of gpuctl. One that is imported while a rule is broken keeps the broken function for good."""
    for module in pkgutil.walk_packages(gpuctl.__path__, "gpuctl."):
        if not module.name.endswith(".__main__"):
            import_module(module.name)


def edited(target: str, *edits: tuple[str, str]) -> Break:
    """A rule broken by replacing text in the source of `module:function` or `module:Class.method`."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        module_name, _, name = target.partition(":")
        module: Any = import_module(module_name)
        *owner_names, last = name.split(".")
        owner = module
        for owner_name in owner_names:
            owner = getattr(owner, owner_name)
        original = inspect.getattr_static(owner, last)
        source = textwrap.dedent(inspect.getsource(getattr(owner, last)))
        for old, new in edits:
            if old not in source:
                raise LookupError(f"{target} no longer holds {old!r}")
            source = source.replace(old, new)
        created: dict[str, Any] = {}
        exec(source, module.__dict__, created)
        patch.setattr(owner, last, created[last])
        if not owner_names:
            _everywhere(patch, last, original, created[last])

    return apply


def constants(**values: Any) -> Break:
    """A rule broken by other values of constants in `gpuctl.domain.reconcile.evidence`."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        for name, value in values.items():
            patch.setattr(f"gpuctl.domain.reconcile.evidence.{name}", value)

    return apply


def every(*breaks: Break) -> Break:
    """Several of them at once."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        for item in breaks:
            item(patch)

    return apply


def _everywhere(patch: pytest.MonkeyPatch, name: str, original: Any, broken: Any) -> None:
    """Give the broken function to every module that imported the whole one."""
    import sys

    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("gpuctl.") and module.__dict__.get(name) is original:
            patch.setattr(module, name, broken)


ZERO = timedelta(0)
_STOCK = """(lambda stock: (stock.write(__import__("json").loads(content)), stock.close()))(
                __import__("tinydb").storages.JSONStorage(str(path), separators=(",", ":"), allow_nan=False)
            )"""
_TWICE = "if now is None or record.absent_since is None or listed_at - record.absent_since < SIGHTINGS_APART:"
_WHOLE = "if claims.record_id is None or claims.expires_at is None or created_at is None:"
_SEALED = "if match is None or _digest(raw[: match.start(1)] + _BLANK + raw[match.end(1) :]) != match.group(1):"
_PATIENCE = "patience = timedelta(0)"
_SENT = "if result.error is not None and result.outcome is not Outcome.UNKNOWN:"
_ADDED = "self.runtime.store.add([record], lambda present: None)"
_DEFINITE = "may_continue = is_elsewhere(error)"

_TAGS_IGNORED = edited("gpuctl.domain.reconcile.deadlines:extended_by_tags", ("if is_granted and", "if False and"))
_JUDGED_LATE = edited(
    "gpuctl.services.reap.reaper:_reap_login",
    ("actions = plan(", "survey.began_at = survey.session.checked_now\n    actions = plan("),
)
_OTHER_NAME = """order.token + "-" + str(__import__("secrets").randbelow(9000) + 10)"""

MUTANTS: dict[str, Break] = {
    "filled though the move is done": edited(
        "gpuctl.store.dynamodb.engine:DynamoEngine._fill", ("attribute_exists(incomingFrom)", "attribute_exists(p)")
    ),
    "begun though the move is done": edited(
        "gpuctl.store.shared.admin:SharedAdmin.begin_filling",
        ("Write(serial, ", "Write(None, "),
    ),
    "written without its version": edited(
        "gpuctl.store.postgres.statements:write",
        ("version = version + 1 WHERE id = %s AND version = %s", "version = version + 1 WHERE id = %s AND %s > 0"),
    ),
    "guarded without the serial": edited(
        "gpuctl.store.postgres.statements:_header_of_write", ('" AND serial = %s" if', '" AND %s >= 0" if')
    ),
    "acknowledged without a commit": edited(
        "gpuctl.store.postgres.connection:PostgresTransaction.finish",
        ('"ROLLBACK" if self._is_refused else "COMMIT"', '"ROLLBACK"'),
    ),
    "fence of a lease not checked": edited(
        "gpuctl.store.postgres.statements:put_document", ("AND fence = %s FOR SHARE", "AND fence >= %s FOR SHARE")
    ),
    "not terminated by tags": edited(
        "gpuctl.services.reap.loop:ReapLoop._reap", ("None if is_anothers else self.state.records.state_id", "None")
    ),
    "hooks called without their lease": edited(
        "gpuctl.services.events.notify:Notifier.notify", ("LeaseName.HOOKS,", "LeaseName.HOOKS + self.holder,")
    ),
    "a lost reply taken for a failure": edited(
        "gpuctl.store.postgres.engine:PostgresEngine._was_committed", ("return rows[0][0] is False", "return False")
    ),
    "a late commit not forestalled": edited(
        "gpuctl.store.postgres.statements:settle",
        (
            'return [(limit, ()), (text, (token,)), ("SELECT is_void FROM gpuctl_commits WHERE token = %s", (token,))]',
            'return [("SELECT NOT EXISTS (SELECT FROM gpuctl_commits WHERE token = %s)", (token,))]',
        ),
    ),
    "stock TinyDB storage": every(
        edited("gpuctl.store.local.tinydb:StateStorage.commit", ("write_whole(disk, path, content, check)", _STOCK)),
        edited("gpuctl.store.local.lock:Lock._wait_for", ("while True:", "while False:")),
    ),
    "written in place": edited(
        "gpuctl.files:write_whole",
        ("disk.create(temporary)", "os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)"),
        ("disk.replace(temporary, path)", "pass"),
    ),
    "record after create": every(
        edited(
            "gpuctl.services.launch.records:write_records",
            ("runtime.store.add(records, guard)", "runtime.store.snapshot()"),
        ),
        edited("gpuctl.services.launch.attempts:Attempts._send", (_SENT, f"{_ADDED}\n    {_SENT}")),
    ),
    "another attempt after a lost reply": every(
        edited(
            "gpuctl.services.launch.attempts:Attempts.send_attempts",
            ("result.outcome not in (Outcome.REFUSED, Outcome.LEFTOVERS)", "result.outcome is Outcome.CREATED"),
        ),
        edited("gpuctl.services.launch.attempts:Attempts._after_refusal", (_DEFINITE, "may_continue = True")),
        edited("gpuctl.domain.lifecycle:attempted", ("if not was_refused(instance):", "if False:")),
    ),
    "no client token": edited(
        "gpuctl.providers.aws.create:run_instances",
        ('"ClientToken": order.token', '"ClientToken": __import__("secrets").token_hex(8)'),
    ),
    "another name on each send": every(
        edited("gpuctl.providers.gcp.create:request_id", ("uuid5(", "__import__('uuid').uuid4() or uuid5(")),
        edited("gpuctl.providers.gcp.create:insert_body", ('"name": order.token', f'"name": {_OTHER_NAME}')),
    ),
    "run limit left out": edited(
        "gpuctl.providers.gcp.create:_scheduling",
        ('"maxRunDuration": {"seconds": str(seconds)},', ""),
        ('"instanceTerminationAction": "DELETE",', ""),
    ),
    "copies taken for ours": edited(
        "gpuctl.providers.gcp.termination:_check",
        ("if record is None:", "if False:"),
        ("if claimed is not None and claimed != record:", "if False:"),
    ),
    "no grace": constants(LAUNCH_GRACE=ZERO, ATTEMPT_GRACE=ZERO, SIGHTINGS_APART=ZERO),
    "NotFound means gone": edited(
        "gpuctl.domain.reconcile.evidence:absence_proves",
        (_TWICE, "if False:"),
        ("if now - record.launched_at < LAUNCH_GRACE:", "if False:"),
        ("if now - record.last_attempt_at < ATTEMPT_GRACE:", "if False:"),
        ("_estimated_proof(record, record.absent_since, None)", "_estimated_proof(record, listed_at, None)"),
    ),
    "no tag check": every(
        edited(
            "gpuctl.domain.reconcile.evidence:is_the_same_instance",
            ("if record.cloud_id is None:", "return True\n    if True:"),
        ),
        edited(
            "gpuctl.domain.reconcile.orphans:_unmanaged",
            ("if not is_ours and claims.state_id not in rules.reap_state_ids:", "if False:"),
            (_WHOLE, "if False:"),
        ),
        edited("gpuctl.domain.reconcile.orphans:_is_expired", (_PATIENCE, f"return True\n    {_PATIENCE}")),
    ),
    "remnants passed over": edited(
        "gpuctl.providers.azure.provider:AzureProvider._listed",
        (
            "for name, group in groups.items():",
            "for name, group in ((n, g) for n, g in groups.items() if n in machines):",
        ),
    ),
    "timers not set by the reaper": edited(
        "gpuctl.services.reconcile.apply:Applier._arm", ("if provider.capabilities.timer_in_create:", "if True:")
    ),
    "contents not looked at": edited(
        "gpuctl.providers.azure.termination:end_group", ("if not foreign or force:", "if True:")
    ),
    "refused after a lost reply": edited(
        "gpuctl.services.launch.create:send_create", ("if lost is None:", "if error is not lost:")
    ),
    # Either of the first two rules alone hides that the third is broken.
    "deadline not read again": every(
        _JUDGED_LATE,
        _TAGS_IGNORED,
        edited("gpuctl.services.reconcile.apply:Applier._end", ("and not fresh.is_due(judged_at)", "and False")),
    ),
    "tags of another copy ignored": _TAGS_IGNORED,
    "deadlines judged after the listing": _JUDGED_LATE,
    # Either alone hides that the other is broken.
    "restored deadlines believed": every(
        edited("gpuctl.domain.reconcile.recovery:with_deadline_of", ("if not record.is_active", "if True")),
        edited("gpuctl.domain.reconcile.recovery:confirmed_by_tags", ("if _is_by_deadline(action)", "if False")),
    ),
    "granted deadline not written again": edited(
        "gpuctl.services.reconcile.timers:write_granted_deadline",
        ("lacks_granted_deadline(record, observed)", "False"),
    ),
    "extensions to one second not told apart": edited(
        "gpuctl.services.extend:_new_deadline", ("replace(microsecond=now.microsecond)", "replace(microsecond=0)")
    ),
    "max_ttl of this computer for all": edited(
        "gpuctl.domain.reconcile.deadlines:extended_by_tags", ("HIGHEST_MAX_TTL", "record.max_ttl")
    ),
    "restored deadlines never enforced": edited(
        "gpuctl.domain.reconcile.recovery:confirmed_by_tags", ("not _has_passed_in_tags(action, now)", "True")
    ),
    "no time limit after a signal": edited(
        "gpuctl.cli.interrupts:time_limit",
        ("signal.setitimer(signal.ITIMER_REAL, span.total_seconds())", "pass"),
    ),
    "guard left out": edited(
        "gpuctl.providers.aws.create:run_instances", ('"UserData": user_data(order)', '"UserData": "#!/bin/sh"')
    ),
    "the laptop's clock believed": edited(
        "gpuctl.services.sessions:Sessions._checked",
        ("if anchor is not None and abs(anchor - here) <= TRUSTED_SKEW:", "if anchor is not None:"),
    ),
    "numbers taken as they come": edited(
        "gpuctl.cli.parameters:whole_number", ('if not _WHOLE.fullmatch(text.strip(" ")):', "if False:")
    ),
    "no checksum": edited("gpuctl.store.local.format:decode", (_SEALED, "if False:")),
    "short writes ignored": edited("gpuctl.files:write_all", ("left = left[written:]", "left = left[len(left) :]")),
    "text printed raw": edited(
        "gpuctl.cli.terminal.text:clean", ("if text.isascii() and text.isprintable():", "if True:")
    ),
    "environment printed with failures": edited(
        "gpuctl.cli.render.renderer:failure_lines",
        ('lines = [f"error: {brief(failure.message)}"]', 'lines = [str(dict(__import__("os").environ))]'),
    ),
    "modes left to the umask": edited(
        "gpuctl.files:private_folder",
        ("folder.mkdir(mode=0o700)", "folder.mkdir()"),
        ("make_path_private(folder, 0o700)", "pass"),
    ),
    "leases not checked when they are written": edited(
        "gpuctl.domain.pools.leasing:with_new_lease",
        ("if (reason := _objection(record, pool, lease, now)) is not None:", "if (why := None) is not None:"),
    ),
    "maximum not checked when it is reached": edited(
        "gpuctl.services.pools.launch:refuse_over_max", ("if _count(pool, records) > pool.max:", "if False:")
    ),
    "launches of a killed tick not counted": edited(
        "gpuctl.domain.pools.leasing:members",
        ("if record.is_active and", "if record.is_active and record.cloud_id and"),
    ),
    "pool budget not checked when it is spent": edited(
        "gpuctl.services.pools.launch:admission", ("refuse_over_pool_budget(pool, records, now, origin)", "pass")
    ),
    "leased since the plan was made": edited(
        "gpuctl.services.pools.carry_out:_stopping", ("if lease.lapse(now) is None:", "if False:")
    ),
    "lease without a deadline of its own": edited(
        "gpuctl.services.pools.lease:_with_lease",
        ("if record.cloud_id is None or record.expires_at >= deadline:", "if True:"),
    ),
    "deadlines not repaired": edited(
        "gpuctl.services.pools.deadline:move_deadline", ("_repair(runtime, session, record)", "pass")
    ),
    "launches of another tick not noticed": edited(
        "gpuctl.services.pools.carry_out:_launched", ("if _count(pool, records) > most:", "if False:")
    ),
    "clean-ups not marked": edited(
        "gpuctl.services.pools.clean_up:_marked", ("tools.runtime.store.update(record.id, mark)", "record")
    ),
    "deadlines on their way not noticed": edited(
        "gpuctl.domain.pools.leasing:_objection", ("if record.unconfirmed_deadlines else None", "if False else None")
    ),
    "pool instances with the longest TTL": edited(
        "gpuctl.services.pools.launch:launch_ttl",
        ("min(MOST_AHEAD, tools.runtime.max_ttl)", "tools.runtime.max_ttl"),
    ),
}
