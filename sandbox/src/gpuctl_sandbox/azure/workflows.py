"""Microsoft.Logic/workflows: Logic Apps that recur, and the list of their runs. What a run does is not carried out."""

from datetime import UTC, datetime, timedelta

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import Resource, rfc3339
from gpuctl_sandbox.azure.routes import Route
from gpuctl_sandbox.azure.schema import READ_ONLY, TAGS, Object, checked, checked_tags
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of
from gpuctl_sandbox.fidelity import Rule

KIND = "Microsoft.Logic/workflows"
RULES = (
    Rule(
        "Azure",
        "listing of Logic Apps",
        "GET of Microsoft.Logic/workflows lists those of a subscription with their tags and `properties.state` "
        "(`Enabled` or `Disabled`); the call is refused without Microsoft.Logic/workflows/read.",
        "Azure/azure-rest-api-specs, Microsoft.Logic 2019-05-01 (Workflows_ListBySubscription); azure-mgmt-logic 10",
        "documented",
    ),
    Rule(
        "Azure",
        "runs of a Logic App",
        "A GET of its `runs` lists them with `startTime` and `status`, 30 on a page; `$top` takes fewer.",
        "Azure/azure-rest-api-specs, Microsoft.Logic 2019-05-01 (WorkflowRuns_List)",
        "documented",
    ),
    Rule(
        "Azure",
        "order of the runs of a Logic App",
        "The newest run comes first, because the names of runs begin with the remaining ticks.",
        "not documented; the names in the examples of WorkflowRuns_List fall with the time",
        "assumed",
    ),
    Rule(
        "Azure",
        "what a Logic App does",
        "A Logic App with a recurrence is listed as having run; its actions are not carried out.",
        "the janitor's filter is tested with an evaluator of the workflow language instead",
        "assumed",
    ),
)
_WORKFLOW = Object(
    "Workflow",
    {
        **dict.fromkeys(("id", "name", "type"), READ_ONLY),
        "location": str,
        "tags": TAGS,
        "identity": Object("ManagedServiceIdentity", {"type": ("SystemAssigned", "UserAssigned", "None")}),
        "properties": Object(
            "WorkflowProperties",
            {
                **dict.fromkeys(("provisioningState", "createdTime", "changedTime", "version"), READ_ONLY),
                "state": ("Enabled", "Disabled"),
                "definition": dict,
                "parameters": dict,
            },
        ),
    },
    required=("location", "properties"),
)
_UNITS = {"Minute": timedelta(minutes=1), "Hour": timedelta(hours=1), "Day": timedelta(days=1)}
_PAGE = 30
_LAST = datetime.max.replace(tzinfo=UTC)


class Workflows:
    """The calls about Logic Apps."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, root: str, group: str) -> list[Route]:
        """Its calls."""
        here = f"{group}/providers/{KIND}"
        return [
            Route("GET", f"{root}/providers/{KIND}", self.every, KIND),
            Route("GET", here, self.every, KIND),
            Route("PUT", here + "/{name}", self.put, KIND),
            Route("GET", here + "/{name}", self.get, KIND),
            Route("DELETE", here + "/{name}", self.delete, KIND),
            Route("POST", here + "/{name}/enable", self.enable, KIND),
            Route("POST", here + "/{name}/disable", self.disable, KIND),
            Route("GET", here + "/{name}/runs", self.runs, f"{KIND}/runs"),
        ]

    def put(self, call: Call) -> Response:
        group, body = self._world.writable_group(call), checked(call.body, _WORKFLOW)
        now = self._world.now()
        present = self._world.books.find(f"{group.id}/providers/{KIND}/{call.names['name']}")
        workflow = present or Resource(group, KIND, call.names["name"], region_of(body["location"], KIND), now)
        self._run(workflow)
        workflow.tags = checked_tags(body.get("tags", {}))
        workflow.properties = {
            "state": "Enabled",
            **body["properties"],
            "provisioningState": "Succeeded",
            "createdTime": rfc3339(workflow.created_at),
            "changedTime": rfc3339(now),
        }
        self._switch(workflow, str(workflow.properties["state"]))
        self._world.books.add(workflow)
        return reply(workflow.shown(), 200 if present is not None else 201)

    def get(self, call: Call) -> Response:
        return reply(self._find(call).shown())

    def every(self, call: Call) -> Response:
        group = self._world.books.group(call.subscription, call.group) if "group" in call.names else None
        workflows = self._world.books.resources(KIND, group=group, subscription=call.subscription)
        return self._world.page(call, [workflow.shown() for workflow in workflows])

    def delete(self, call: Call) -> Response:
        self._world.books.remove(self._find(call))
        return reply(None, 200)

    def enable(self, call: Call) -> Response:
        self._switch(self._find(call), "Enabled")
        return reply(None, 200)

    def disable(self, call: Call) -> Response:
        self._switch(self._find(call), "Disabled")
        return reply(None, 200)

    def runs(self, call: Call) -> Response:
        """The runs until now, or until it was disabled."""
        workflow = self._find(call)
        self._run(workflow)
        shown = sorted(workflow.hidden["runs"], key=lambda run: str(run["name"]))
        try:
            size = min(int(call.query.get("$top", _PAGE)), _PAGE)
        except ValueError as error:
            raise Refusal(400, "InvalidParameter", "The value of '$top' is not valid.") from error
        return reply({"value": shown[:size]})

    def _switch(self, workflow: Resource, state: str) -> None:
        self._run(workflow)
        workflow.properties["state"] = state
        workflow.hidden["next"] = self._world.now() if state == "Enabled" else None

    def _run(self, workflow: Resource) -> None:
        """Write down every run that was due since the last call."""
        runs = workflow.hidden.setdefault("runs", [])
        recurrences = [
            trigger["recurrence"]
            for trigger in workflow.properties.get("definition", {}).get("triggers", {}).values()
            if trigger.get("type") == "Recurrence"
        ]
        every = min((_UNITS[each["frequency"]] * each["interval"] for each in recurrences), default=None)
        while every and workflow.hidden.get("next") and workflow.hidden["next"] <= self._world.now():
            at = workflow.hidden["next"]
            workflow.hidden["next"] = at + every
            runs.append(_run(workflow, at, self._world.conditions.workflow_runs))
            del runs[:-_PAGE]

    def _find(self, call: Call) -> Resource:
        return self._world.books.resource(
            self._world.books.group(call.subscription, call.group), KIND, call.names["name"]
        )


def _run(workflow: Resource, at: datetime, status: str) -> Json:
    name = f"{int((_LAST - at) / timedelta(microseconds=1)) * 10:020d}CU00"
    properties: Json = {"startTime": rfc3339(at), "endTime": rfc3339(at), "status": status, "outputs": {}}
    if status != "Succeeded":
        properties["code"] = "ActionFailed"
        properties["error"] = {
            "code": "ActionFailed",
            "message": "An action failed. No dependent actions succeeded.",
        }
    return {"id": f"{workflow.id}/runs/{name}", "name": name, "type": f"{KIND}/runs", "properties": properties}
