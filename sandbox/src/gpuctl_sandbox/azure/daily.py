"""Microsoft.DevTestLab/schedules: a machine deallocated at one time of day, every day, by the sandbox's clock."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import Group, Resource, rfc3339, same
from gpuctl_sandbox.azure.conditions import DAILY
from gpuctl_sandbox.azure.links import MACHINE
from gpuctl_sandbox.azure.machines import Machines
from gpuctl_sandbox.azure.places import REGIONS
from gpuctl_sandbox.azure.schema import READ_ONLY, TAGS, Object, checked, checked_tags
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World, region_of

_CODE = "InvalidRequestContent"
# Moved so shortly before it fires, the new time takes effect the next day.
_LATE = timedelta(minutes=30)
_DAY = timedelta(days=1)
# A schedule fires on the same day only if it is written so long before.
_LEAD = timedelta(minutes=31)
_PROPERTIES = {
    "status": ("Enabled", "Disabled"),
    "taskType": str,
    "dailyRecurrence": Object("DayDetails", {"time": str}, required=("time",)),
    "timeZoneId": str,
    "notificationSettings": Object("NotificationSettings", {"status": ("Enabled", "Disabled")}),
    "targetResourceId": str,
    "createdDate": READ_ONLY,
    "provisioningState": READ_ONLY,
    "uniqueIdentifier": READ_ONLY,
}
_TOP = {"id": READ_ONLY, "name": READ_ONLY, "type": READ_ONLY, "location": str, "tags": TAGS}
_DAILY = Object(
    "Schedule",
    _TOP
    | {
        "properties": Object(
            "ScheduleProperties",
            _PROPERTIES,
            required=("taskType", "dailyRecurrence", "timeZoneId", "targetResourceId"),
        )
    },
    required=("location", "properties"),
)


class DailyTimers:
    """Microsoft.DevTestLab/schedules of the kind that deallocates one machine at one time of day, every day."""

    def __init__(self, world: World, machines: Machines) -> None:
        self._world = world
        self._machines = machines

    def put(self, call: Call) -> Response:
        """Arm it, or write it anew."""
        group, body = self._world.writable_group(call), checked(call.body, _DAILY, _CODE)
        region, text = region_of(body["location"], DAILY), body["properties"]
        self._check(call.names["name"], region, text)
        present = self._world.books.find(f"{group.id}/providers/{DAILY}/{call.names['name']}")
        timer = present or Resource(group, DAILY, call.names["name"], region, self._world.now())
        timer.tags = checked_tags(body.get("tags", {}))
        timer.properties = {"status": "Enabled", "notificationSettings": {"status": "Disabled"}, **text}
        self._written(timer)
        self._world.books.add(timer)
        return reply(timer.shown(), 200 if present is not None else 201)

    def get(self, call: Call) -> Response:
        return reply(self._find(call).shown())

    def fire(self) -> None:
        """Deallocate what was due since the last look."""
        for timer in self._world.books.resources(DAILY):
            old = timer.hidden.get("old")
            if old is not None and old <= self._world.now():
                timer.hidden["old"] = None
                self._act(timer, old)
            while timer.hidden["next"] <= self._world.now():
                due = timer.hidden["next"]
                timer.hidden["next"] = due + _DAY
                self._act(timer, due)

    def _act(self, timer: Resource, due: datetime) -> None:
        machine = self._world.books.find(timer.properties["targetResourceId"])
        if machine is not None and timer.properties["status"] == "Enabled":
            self._machines.end_bill(machine, due)

    def _written(self, timer: Resource) -> None:
        now, previous = self._world.now(), timer.hidden.get("next")
        timer.changed_at = now
        wanted = _next(timer.properties["dailyRecurrence"]["time"], now)
        is_late = previous is not None and previous - now < _LATE
        is_short = wanted - now < _LEAD
        timer.hidden["next"] = wanted + _DAY if is_late or is_short else wanted
        if is_late and self._world.conditions.late_timer == "old time too":
            timer.hidden["old"] = previous
        timer.properties |= {
            "createdDate": timer.properties.get("createdDate", rfc3339(now)),
            "provisioningState": "Succeeded",
            "uniqueIdentifier": timer.properties.get("uniqueIdentifier", str(uuid4())),
        }

    def _check(self, name: str, region: str, body: Json) -> None:
        machine = self._world.books.find(body["targetResourceId"])
        offered = self._world.conditions.offering(DAILY, REGIONS)
        if region not in offered:
            raise Refusal(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{region}' is not available for resource type '{DAILY}'. List of available "
                f"regions for the resource type is '{','.join(offered)}'.",
            )
        if body["taskType"] != "ComputeVmShutdownTask":
            raise Refusal(400, "InvalidTaskType", f"The task type '{body['taskType']}' is not valid.", "taskType")
        if not re.fullmatch(r"([01]\d|2[0-3])[0-5]\d", body["dailyRecurrence"]["time"]):
            raise Refusal(
                400,
                "InvalidScheduleTime",
                f"The time '{body['dailyRecurrence']['time']}' is not of the form HHmm.",
                "time",
            )
        if body["timeZoneId"] != "UTC":
            raise Refusal(400, "InvalidTimeZoneId", f"The sandbox knows no time zone '{body['timeZoneId']}': only UTC.")
        if machine is None or machine.type != MACHINE:
            raise Refusal(404, "ResourceNotFound", f"The target resource '{body['targetResourceId']}' was not found.")
        if not same(name, f"shutdown-computevm-{machine.name}"):
            raise Refusal(
                400,
                "InvalidScheduleId",
                f"The schedule of the machine '{machine.name}' must have the name 'shutdown-computevm-{machine.name}'.",
            )
        if machine.state == "Creating" and self._world.conditions.no_timer_while_creating:
            raise Refusal(
                409, "Conflict", f"The virtual machine '{machine.name}' is being created and takes no schedule yet."
            )
        if machine.location != region:
            raise Refusal(
                400, "InvalidLocation", f"The schedule must be in '{machine.location}', where its machine is."
            )

    def _find(self, call: Call) -> Resource:
        group: Group = self._world.books.group(call.subscription, call.group)
        return self._world.books.resource(group, DAILY, call.names["name"])


def _next(time: str, now: datetime) -> datetime:
    """The next instant with that time of day, after now."""
    today = now.astimezone(UTC).replace(hour=int(time[:2]), minute=int(time[2:]), second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)
