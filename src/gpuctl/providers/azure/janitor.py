"""Whether the janitor of `gpuctl reaper template azure` deletes what Azure's shutdown timer only deallocates."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.duration import approximate
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.codes import NOT_REGISTERED
from gpuctl.providers.azure.errors import SDK_ERRORS, code_of, translate
from gpuctl.providers.azure.names import group_in

TAG = "gpuctl-janitor"
_API = "2019-05-01"
_PROVIDER = "Microsoft.Logic"
# It runs every 15 minutes.
_LATELY = timedelta(hours=1)
_RAN_WELL = ("Succeeded", "Running", "Waiting")
_ODD_SHAPE = (AttributeError, KeyError, TypeError, ValueError)
_ABSENT = (
    "no janitor: a shutdown timer of Azure deallocates an instance, and only the reaper deletes it; "
    "`gpuctl reaper template azure` prints one that deletes"
)


def find_janitor(clients: AzureClients, now: datetime) -> Finding:
    """The finding about the janitor of the subscription: OK without one, UNKNOWN where Logic Apps cannot be listed."""
    try:
        return _finding(clients, now)
    except _ODD_SHAPE as error:
        text = f"the janitor could not be checked: Azure's answer could not be read ({type(error).__name__})"
        return Finding("janitor", Verdict.UNKNOWN, text)


def _finding(clients: AzureClients, now: datetime) -> Finding:
    try:
        janitors = [each for each in _workflows(clients) if TAG in (each.get("tags") or {})]
    except SDK_ERRORS as error:
        if code_of(error) != NOT_REGISTERED:
            problem = translate(error, "the janitor could not be checked")
            return Finding("janitor", Verdict.UNKNOWN, problem.message, problem.hint)
        # A subscription without that provider has no Logic App.
        janitors = []
    if not janitors:
        return Finding("janitor", Verdict.OK, _ABSENT, "gpuctl reaper template azure")
    enabled = [each for each in janitors if _state(each) == "enabled"]
    if enabled:
        return _of_runs(clients, enabled[0], now)
    text = f"{_label(janitors[0])} is {_state(janitors[0])}, so it deletes no instances"
    return Finding("janitor", Verdict.WARN, text, _request("post", janitors[0], "enable"))


def _workflows(clients: AzureClients) -> Iterator[Mapping[str, Any]]:
    path: str | None = f"/subscriptions/{clients.subscription}/providers/{_PROVIDER}/workflows"
    while path:
        page = clients.ask("GET", path, _API).json()
        yield from page["value"]
        path = page.get("nextLink")


def _of_runs(clients: AzureClients, janitor: Mapping[str, Any], now: datetime) -> Finding:
    """The finding about an enabled janitor, judged by its newest run."""
    text, hint = f"{_label(janitor)} is enabled", _request("get", janitor, "runs")
    try:
        runs = clients.ask("GET", f"{janitor['id']}/runs", _API).json()["value"]
    except SDK_ERRORS as error:
        problem = translate(error, "its runs could not be read")
        return Finding("janitor", Verdict.OK, f"{text}; {problem.message}", problem.hint)
    # The order of the runs is not documented.
    last = max((run["properties"] for run in runs), key=lambda run: _instant(run["startTime"]), default=None)
    if last is None:
        is_new = now - _instant(janitor["properties"]["changedTime"]) < _LATELY
        return Finding("janitor", Verdict.OK if is_new else Verdict.WARN, f"{text} and has not run yet", hint)
    age, status = now - _instant(last["startTime"]), str(last["status"])
    text = f"{text}, last run {approximate(age)} ago"
    if status not in _RAN_WELL:
        code = f" ({last['code']})" if last.get("code") else ""
        return Finding("janitor", Verdict.WARN, f"{text}: {status}{code}", hint)
    if age >= _LATELY:
        return Finding("janitor", Verdict.WARN, text, hint)
    return Finding("janitor", Verdict.OK, text)


def _label(janitor: Mapping[str, Any]) -> str:
    return f"the Logic App `{janitor['name']}` in {group_in(janitor['id'])}"


def _state(janitor: Mapping[str, Any]) -> str:
    return str(janitor["properties"]["state"]).lower()


def _request(method: str, janitor: Mapping[str, Any], action: str) -> str:
    return f"az rest --method {method} --url {janitor['id']}/{action}?api-version={_API}"


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
