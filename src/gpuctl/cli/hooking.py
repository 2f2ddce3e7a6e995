"""Tells the hooks of the config what happened, after everything else a command has to do."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from gpuctl.cli.context import Context
from gpuctl.cli.render.events import told_alone
from gpuctl.cli.render.figures import counted
from gpuctl.domain.duration import spelled
from gpuctl.domain.events import Event
from gpuctl.errors import GpuctlError
from gpuctl.hooks.base import IN_HOOK, Hook, Message
from gpuctl.services.events.deliver import GIVEN_UP_AFTER, IN_ALL, Delivered, Delivery, Tell

_TELL_AGAIN = timedelta(hours=1)


def tell_hooks(context: Context, in_all: timedelta = IN_ALL) -> None:
    """Deliver what hooks are owed, in that time at most, and say which failed. Fails at nothing itself.

    Does nothing in a command that a hook runs, and leaves it to another gpuctl that is at it already.
    """
    if not context.wiring.config.hooks or context.environ.get(IN_HOOK) or not context.wiring.state_path.exists():
        return
    try:
        with context.wiring.reap_log.delivering() as is_ours:
            if is_ours:
                _told(context, in_all)
    except GpuctlError as error:
        # The reaper has said already what is wrong with the state, and says it once an hour.
        if not context.owes_events:
            context.progress.warn(f"could not deliver events to hooks: {error.message}")
    finally:
        context.progress.clear()


def _told(context: Context, in_all: timedelta) -> None:
    from gpuctl.hooks.opening import open_hook

    environ = _environ(context)
    hooks = {name: _teller(context, open_hook(text, environ)) for name, text in context.wiring.config.hooks.items()}
    delivery = Delivery(context.wiring.store, context.clock, context.progress, hooks)
    _report(context, delivery.run(in_all))


def _teller(context: Context, hook: Hook) -> Tell:
    def tell(event: Event, patience: timedelta) -> str | None:
        if context.is_terminal:
            context.progress.step(f"calling hook `{event.entry.event}` for {event.record.label}")
        told = json.dumps(told_alone(event, context.clock.now(), sandbox=context.sandbox), ensure_ascii=True)
        document = context.redactor.clean(told)
        return hook.tell(Message(event.name, event.record.id, event.number, document), patience)

    return tell


def _environ(context: Context) -> Mapping[str, str]:
    """What a command runs with: this one's environment, and which state, config and clouds it was about."""
    named = {
        "GPUCTL_STATE": str(context.wiring.state_path),
        "GPUCTL_CONFIG": str(context.wiring.config_path) if context.wiring.config_path.exists() else "",
        "GPUCTL_PROFILE": context.selection.profile or "",
        "GPUCTL_SANDBOX": "1" if context.sandbox else "",
    }
    return {**context.environ, **{name: value for name, value in named.items() if value}}


def _report(context: Context, delivered: Delivered) -> None:
    log, now = context.wiring.reap_log, context.clock.now()
    reported = log.read().hooks_reported
    failing = {name: reported[name] for name in delivered.failures if name in reported}
    for name, why in delivered.failures.items():
        if not context.owes_events or context.is_terminal or _is_over(failing.get(name), now):
            context.progress.warn(f"hook `{name}` {why}; the next reap retries it")
            failing[name] = now
    if delivered.left and not delivered.failures:
        context.progress.warn(f"{counted(delivered.left, 'event')} left for the next reap: hooks timed out")
    if delivered.given_up:
        context.progress.warn(
            f"{counted(delivered.given_up, 'event')} older than {spelled(GIVEN_UP_AFTER)} were dropped"
        )
    if failing != reported:
        log.write(log.read().model_copy(update={"hooks_reported": failing}))


def _is_over(told_at: datetime | None, now: datetime) -> bool:
    """Whether it is new, or was told over an hour ago: cron mails every line."""
    return told_at is None or not timedelta(0) <= now - told_at < _TELL_AGAIN
