"""`gpuctl events` tells every entry of every record's history, once and in order, whoever writes meanwhile."""

import ast
import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from support.cli import Operator, Ran
from support.clock import StepClock
from support.instances import NOON, a_ready_instance
from support.observations import seen_of
from support.stores import MemoryStore

import gpuctl
from gpuctl.domain.events import EventName, events_in_order, new_events
from gpuctl.domain.instance import CloudState, Reason, Status
from gpuctl.domain.lifecycle import advance, note, provisioning, refreshed
from gpuctl.services.events.follow import Follower

KEYS = ["event", "at", "instanceId", "name", "number", "status", "reason", "detail", "totalCost"]
WHOLE_LIFE = ["provisioning", "attempt", "provisioned", "ready", "stopping", "terminated"]


def names(ran: Ran) -> list[str]:
    return [event["event"] for event in ran.json["events"]]


def lines(ran: Ran) -> list[dict[str, object]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def test_all_events_of_an_instance_are_listed_oldest_first_with_its_cost(operator: Operator) -> None:
    record = operator.provision("--name", "n").instance["id"]
    operator.later(minutes=30)
    operator.json("terminate", "n")
    ran = operator.json("events")
    assert names(ran) == [f"instance:{text}" for text in WHOLE_LIFE]
    assert [list(event) for event in ran.json["events"]] == [KEYS] * 6
    assert [event["number"] for event in ran.json["events"]] == [1, 2, 3, 4, 5, 6]
    assert {event["instanceId"] for event in ran.json["events"]} == {record}
    assert [event["totalCost"] for event in ran.json["events"][:-1]] == [None] * 5
    assert ran.json["events"][-1]["totalCost"] == operator.json("get", record).instance["totalCost"] > 0
    assert (ran.json["count"], ran.json["events"][-1]["reason"]) == (6, "user")


def test_a_deadline_that_is_moved_and_an_instance_that_is_refused_are_events(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.json("extend", "n", "--by", "30m")
    operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "--image", "ami-none")
    assert names(operator.json("events"))[-1] == "instance:extended"


def test_since_and_id_choose(operator: Operator) -> None:
    operator.provision("--name", "a")
    operator.later(minutes=10)
    operator.provision("--name", "b")
    assert {event["name"] for event in operator.json("events", "--since", "5m").json["events"]} == {"b"}
    assert {event["name"] for event in operator.json("events", "--id", "a").json["events"]} == {"a"}
    assert operator.json("events", "--id", "a", "--since", "5m").json["events"] == []
    assert operator.json("events", "--id", "nobody").code == 3
    assert operator.run("events", "--since", "yesterday").code == 2


def test_the_archive_is_part_of_it_and_no_socket_is_opened(operator: Operator) -> None:
    operator.provision()
    operator.run("terminate", "--all", "--yes")
    operator.later(days=8)
    operator.run("reap")
    assert operator.records == ()
    operator.wire.sent.clear()
    assert len(names(operator.json("events"))) == 6
    assert operator.wire.sent == []


def test_a_person_sees_a_table_and_a_script_rows(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.run("terminate", "n")
    table = operator.run("events", "-o", "table").out.splitlines()
    assert table[0].split() == ["TIME", "EVENT", "INSTANCE", "DETAIL"]
    assert table[-1].split()[1:] == ["terminated", "n", "user", "·", "$0.01"]
    assert max(map(len, table)) <= 80
    (row,) = operator.run("events", "--since", "1m").out.splitlines()[-1:]
    assert row.split("\t")[1] == "instance:terminated"
    assert operator.run("events", "-o", "csv").out.startswith("at,event,instanceId,name,status,")
    assert operator.run("events", "-q").out.count("\n") == 1


def test_follow_prints_events_of_other_processes_once_and_stops_with_ctrl_c(operator: Operator) -> None:
    operator.provision("--name", "before")
    steps = [
        lambda: operator.provision("--name", "n"),
        None,
        lambda: operator.json("terminate", "n", "--no-wait"),
        lambda: operator.run("reap"),
    ]
    operator.clock = StepClock(operator.clock.now(), steps)
    ran = operator.json("events", "--follow")
    assert ran.code == 0
    assert [line["event"] for line in lines(ran)] == [f"instance:{text}" for text in WHOLE_LIFE]
    assert {line["instance"]["name"] for line in lines(ran)} == {"n"}  # type: ignore[index]
    assert list(lines(ran)[0]) == ["schemaVersion", *KEYS, "instance"]


def test_follow_begins_with_what_since_asks_for(operator: Operator) -> None:
    operator.provision("--name", "old")
    operator.later(minutes=10)
    operator.provision("--name", "new")
    operator.clock = StepClock(operator.clock.now(), [lambda: operator.json("extend", "new", "--by", "5m"), None])
    documents = [(line["name"], line["event"]) for line in lines(operator.json("events", "-f", "--since", "5m"))]
    assert documents == [("new", f"instance:{text}") for text in (*WHOLE_LIFE[:4], "extended")]


@pytest.mark.parametrize(("form", "heading"), [("table", "TIME"), ("csv", "at,event"), ("tsv", "")])
def test_follow_writes_one_line_an_event_in_every_form(operator: Operator, form: str, heading: str) -> None:
    operator.clock = StepClock(operator.clock.now(), [lambda: operator.provision("--name", "n")])
    ran = operator.run("events", "--follow", "-o", form)
    written = ran.out.splitlines()
    assert written[0].startswith(heading)
    assert len(written) == (4 if form == "tsv" else 5)
    assert "\x1b" not in ran.out


def test_a_follower_that_slept_for_weeks_has_missed_nothing() -> None:
    store = MemoryStore()
    follower = Follower(store)
    assert follower.past_events() == []
    store.add([provisioning(a_ready_instance("inst-000000000001"))], lambda present: None)
    for number in (2, 3):
        store.add([provisioning(a_ready_instance(f"inst-00000000000{number}"))], lambda present: None)
        store.update(f"inst-00000000000{number}", lambda record: advance(record, Status.STOPPING, NOON, Reason.USER))
        store.update(f"inst-00000000000{number}", lambda record: advance(record, Status.TERMINATED, NOON))
        store.archive(NOON + timedelta(days=1))
    events = follower.new_events()
    assert [event.entry.event for event in events if event.record.id.endswith("3")] == [
        "provisioning",
        "attempt",
        "stopping",
        "terminated",
    ]
    assert len(events) == 10
    assert follower.new_events() == []
    assert Follower(store).past_events(NOON) == events


def test_events_of_a_rebuilt_record_begin_where_it_differs() -> None:
    known = provisioning(a_ready_instance())
    rebuilt = note(a_ready_instance(), EventName.ADOPTED, NOON)
    assert [event.entry.event for event in new_events(rebuilt, known.history)] == ["adopted"]
    assert new_events(known, known.history) == []


def test_a_clock_that_was_set_back_does_not_turn_a_record_s_own_order_around() -> None:
    single = provisioning(a_ready_instance())
    single = note(single, EventName.EXTENDED, NOON - timedelta(hours=3))
    assert [event.number for event in events_in_order([single])] == [1, 2, 3]


def test_no_event_is_written_by_a_bare_text() -> None:
    texts = [
        f"{path.name}:{call.lineno}"
        for path in Path(gpuctl.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("note", "_with_entry")
        if any(isinstance(argument, ast.Constant) for argument in call.args[1:2])
    ]
    assert texts == []


def test_an_instance_that_was_switched_off_and_on_in_the_cloud_has_events_that_a_hook_can_have() -> None:
    record = a_ready_instance()
    resting = refreshed(record, seen_of(record, state=CloudState.STOPPED), NOON)
    running = refreshed(resting, seen_of(record, state=CloudState.RUNNING), NOON)
    assert [entry.event for entry in running.history[-2:]] == [EventName.POWERED_OFF, EventName.POWERED_ON]


def test_events_of_several_instances_are_reported_in_the_order_of_time(operator: Operator) -> None:
    for name in ("a", "b"):
        operator.provision("--name", name)
        operator.later(minutes=1)
    operator.run("terminate", "a", "b")
    times = [event["at"] for event in operator.json("events").json["events"]]
    assert all(before <= after for before, after in pairwise(times))
