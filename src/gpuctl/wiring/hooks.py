"""The hooks of one invocation: what is delivered to them, and in which environment a command runs."""

import json
from collections.abc import Mapping
from datetime import timedelta

from gpuctl.documents.events import event_document
from gpuctl.domain.events import Event
from gpuctl.hooks.base import IN_HOOK, Hook, HookMessage
from gpuctl.services.events.deliver import DELIVER_WITHIN, Send
from gpuctl.services.events.notify import Notifier
from gpuctl.wiring.invocation import Wiring


def notify_hooks(
    wiring: Wiring, within: timedelta = DELIVER_WITHIN, *, is_reaper: bool = False, is_attended: bool = False
) -> None:
    """Deliver pending events to the configured hooks within the time limit. Never fails: it warns.

    `is_reaper` and `is_attended` as in `Notifier`. Does nothing in a process that a hook started, or without a state.
    The next reap delivers what is left.
    """
    if not wiring.config.hooks or wiring.environ.get(IN_HOOK) or wiring.store.state_id is None:
        return
    notifier = Notifier(
        wiring.state, wiring.holder, wiring.clock, wiring.progress, is_reaper=is_reaper, is_attended=is_attended
    )
    notifier.notify(lambda: _open_hooks(wiring), within)


def _open_hooks(wiring: Wiring) -> dict[str, Send]:
    from gpuctl.hooks import open_hook

    environ = _environ(wiring)
    return {name: _sender(wiring, open_hook(text, environ)) for name, text in wiring.config.hooks.items()}


def _sender(wiring: Wiring, hook: Hook) -> Send:
    def send(event: Event, patience: timedelta) -> str | None:
        document = event_document(event, wiring.clock.now(), sandbox=wiring.sandbox)
        text = wiring.redactor.clean(json.dumps(document, ensure_ascii=True))
        return hook.send(HookMessage(event.name, event.record.id, event.number, text), patience)

    return send


def _environ(wiring: Wiring) -> Mapping[str, str]:
    """The environment of a hook's command: that of this process, with the state, config and profile in use."""
    selected = {
        "GPUCTL_STATE": wiring.state_url,
        "GPUCTL_CONFIG": str(wiring.config_path) if wiring.config_path.exists() else "",
        "GPUCTL_PROFILE": wiring.selection.profile or "",
        "GPUCTL_SANDBOX": "1" if wiring.sandbox else "",
    }
    return {**wiring.environ, **{name: value for name, value in selected.items() if value}}
