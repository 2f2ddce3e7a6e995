"""Microsoft.ComputeSchedule: a machine deallocated once, at an absolute time, by the sandbox's clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from werkzeug.wrappers import Response

from gpuctl.sandbox.azure.books import rfc3339
from gpuctl.sandbox.azure.links import MACHINE
from gpuctl.sandbox.azure.machines import Machines
from gpuctl.sandbox.azure.places import SCHEDULE
from gpuctl.sandbox.azure.routes import Route
from gpuctl.sandbox.azure.schema import Object, checked
from gpuctl.sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl.sandbox.azure.world import World, region_of

_CODE = "InvalidRequestContent"
_RETRIES = Object("RetryPolicy", {"retryCount": int, "retryWindowInMinutes": int})
_SUBMIT = Object(
    "SubmitDeallocateRequest",
    {
        "schedule": Object(
            "Schedule",
            {
                "deadline": str,
                "deadLine": str,
                "timezone": str,
                "timeZone": str,
                "deadlineType": ("InitiateAt", "CompleteBy"),
            },
            required=("deadlineType",),
        ),
        "executionParameters": Object(
            "ExecutionParameters",
            {"optimizationPreference": ("Cost", "Availability", "CostAvailabilityBalanced"), "retryPolicy": _RETRIES},
        ),
        "resources": Object("Resources", {"ids": [str]}, required=("ids",)),
        "correlationid": str,
    },
    required=("schedule", "resources", "correlationid"),
)
_ABOUT = Object(
    "OperationsRequest", {"operationIds": [str], "correlationid": str}, required=("operationIds", "correlationid")
)
_OPEN = ("PendingScheduling", "Scheduled", "PendingExecution", "Executing")


@dataclass
class OneShot:
    """One deallocation at one instant."""

    operation_id: str
    machine_id: str
    subscription: str
    deadline: datetime
    deadline_type: str
    zone: str
    retries: Json
    state: str = "Scheduled"
    completed_at: datetime | None = None
    error: Json | None = None

    def shown(self) -> Json:
        """The operation as ComputeSchedule shows it."""
        operation: Json = {
            "operationId": self.operation_id,
            "resourceId": self.machine_id,
            "opType": "Deallocate",
            "subscriptionId": self.subscription,
            "deadline": rfc3339(self.deadline),
            "deadlineType": self.deadline_type,
            "state": self.state,
            "timezone": self.zone,
            "timeZone": self.zone,
            "retryPolicy": self.retries,
        }
        if self.completed_at is not None:
            operation["completedAt"] = rfc3339(self.completed_at)
        if self.error is not None:
            operation["resourceOperationError"] = self.error
        return {"resourceId": self.machine_id, "errorCode": None, "errorDetails": None, "operation": operation}


class OneShotTimers:
    """A deallocation at an absolute time, asked about and cancelled by the id of the operation it became."""

    def __init__(self, world: World, machines: Machines) -> None:
        self._world = world
        self._machines = machines

    def routes(self, root: str) -> list[Route]:
        """Its calls."""
        place = f"{root}/providers/{SCHEDULE}/locations/{{location}}"
        kind = f"{SCHEDULE}/locations"
        return [
            Route("POST", f"{place}/virtualMachinesSubmitDeallocate", self.submit, kind),
            Route("POST", f"{place}/virtualMachinesGetOperationStatus", self.status, kind),
            Route("POST", f"{place}/virtualMachinesCancelOperations", self.cancel, kind),
        ]

    def submit(self, call: Call) -> Response:
        """Put down when which machines are to be deallocated; each gets its own operation."""
        region = self._region(call)
        body = checked(call.body, _SUBMIT, _CODE)
        if not body["resources"]["ids"] or len(body["resources"]["ids"]) > 100:
            raise Refusal(400, "BadRequest", "The request must name 1 to 100 resources.", "resources.ids")
        if "executionParameters" not in body:
            raise Refusal(
                400, "BadRequest", "Required parameter 'executionParameters' is missing.", "executionParameters"
            )
        deadline, said = self._deadline(body["schedule"]), body["schedule"]
        zone = said.get("timezone") or said.get("timeZone") or "UTC"
        results = []
        for machine_id in body["resources"]["ids"]:
            machine = self._world.books.find(machine_id)
            if machine is None or machine.type != MACHINE or machine.location != region:
                error = {"errorCode": "ResourceNotFound", "errorDetails": f"The resource '{machine_id}' was not found."}
                results.append({"resourceId": machine_id, **error, "operation": None})
                continue
            retries = body["executionParameters"].get("retryPolicy", {"retryCount": 0, "retryWindowInMinutes": 0})
            one = OneShot(str(uuid4()), machine_id, call.subscription, deadline, said["deadlineType"], zone, retries)
            self._world.one_shots[one.operation_id] = one
            results.append(one.shown())
        said = {"description": "Deallocate Resource request", "type": "virtualMachines", "location": region}
        return reply(said | {"results": results})

    def status(self, call: Call) -> Response:
        """How the named operations stand."""
        self._region(call)
        body = checked(call.body, _ABOUT, _CODE)
        return reply({"results": [self._told(call, name) for name in body["operationIds"]]})

    def cancel(self, call: Call) -> Response:
        """Take back those that have not been done yet."""
        self._region(call)
        body = checked(call.body, _ABOUT, _CODE)
        for name in body["operationIds"]:
            one = self._world.one_shots.get(name)
            if one is not None and one.subscription == call.subscription and one.state in _OPEN:
                one.state, one.completed_at = "Cancelled", self._world.now()
        return reply({"results": [self._told(call, name) for name in body["operationIds"]]})

    def fire(self) -> None:
        """Deallocate what was due since the last look."""
        for one in self._world.one_shots.values():
            if one.state in _OPEN and one.deadline <= self._world.now():
                machine = self._world.books.find(one.machine_id)
                one.state, one.completed_at = "Succeeded", one.deadline
                if machine is None:
                    one.state = "Failed"
                    one.error = {"errorCode": "ResourceNotFound", "errorDetails": "The machine no longer exists."}
                else:
                    self._machines.end_bill(machine, one.deadline)

    def _region(self, call: Call) -> str:
        region = region_of(call.names["location"], f"{SCHEDULE}/locations")
        if {"*", region} & set(self._world.conditions.no_one_shot_timer):
            raise Refusal(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for location '{region}' and API version "
                f"'{call.api_version}' for type 'locations/virtualMachinesSubmitDeallocate'.",
            )
        return region

    def _deadline(self, said: Json) -> datetime:
        text = said.get("deadline") or said.get("deadLine") or ""
        try:
            deadline = datetime.fromisoformat(text)
        except ValueError as error:
            raise Refusal(400, "BadRequest", f"The deadline '{text}' is not valid.", "schedule.deadline") from error
        if deadline.tzinfo is None:
            deadline = deadline.replace(tzinfo=UTC)
        if deadline <= self._world.now():
            raise Refusal(400, "BadRequest", f"The deadline '{text}' lies in the past.", "schedule.deadline")
        if deadline > self._world.now() + timedelta(days=14):
            raise Refusal(400, "BadRequest", f"The deadline '{text}' is more than 14 days away.", "schedule.deadline")
        return deadline

    def _told(self, call: Call, name: str) -> Json:
        try:
            UUID(name)
        except ValueError as error:
            raise Refusal(400, "BadRequest", f"The operation id '{name}' is not valid.", "operationIds") from error
        one = self._world.one_shots.get(name)
        if one is None or one.subscription != call.subscription:
            return {"resourceId": None, "errorCode": "OperationNotFound", "errorDetails": f"No operation '{name}'."} | {
                "operation": None
            }
        shown: Json = one.shown()
        return shown
