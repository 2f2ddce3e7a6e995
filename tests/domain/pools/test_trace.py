"""Traces of jobs, and what is wrong with them."""

import pytest

from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.trace import jobs_of_trace
from gpuctl.errors import UsageError


def read(text: str) -> list[Job]:
    return jobs_of_trace(text.splitlines(keepends=True), "jobs.csv")


def test_csv_with_other_columns_in_any_order_of_columns_and_rows() -> None:
    assert read("vc,duration_s,arrival_s\na,5,20\nb,7.5,3\n") == [Job(3, 7.5), Job(20, 5)]


@pytest.mark.parametrize(
    "text",
    [
        '{"arrival_s": 3, "duration_s": 7.5}\n\n{"duration_s": "5", "arrival_s": 20, "user": "ana"}\n',
        "arrival_s\tduration_s\n3\t7.5\n20\t5\n",
        '\ufeff arrival_s , duration_s \r\n3,7.5\r\n\r\n"20",5\r\n',
    ],
)
def test_other_forms_of_the_same(text: str) -> None:
    assert read(text) == [Job(3, 7.5), Job(20, 5)]


def test_a_header_alone_is_a_trace_without_jobs() -> None:
    assert read("arrival_s,duration_s\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column `arrival_s`"),
        ("arrival_s,length\n1,2\n", "line 1: no column `duration_s`"),
        ("arrival_s,duration_s\n1,2\n3\n", "line 3: `duration_s` is missing"),
        ("arrival_s,duration_s\n1,2\n3,\n", "line 3: `duration_s` is missing"),
        ("arrival_s,duration_s\n1,two\n", "line 2: `duration_s` must be a number of seconds, not `two`"),
        ("arrival_s,duration_s\nnan,2\n", "line 2: `arrival_s` must be a number"),
        ("arrival_s,duration_s\n1,inf\n", "line 2: `duration_s` must be a number"),
        ("arrival_s,duration_s\n1,-2\n", "line 2: `duration_s` must be 0 or more, not `-2`"),
        ("arrival_s,duration_s\n1,1e30\n", "line 2: `duration_s` must be at most 1000000000"),
        ('arrival_s,duration_s\n1,2\n"3\n4",5\n', "line 4: `arrival_s` must be a number"),
        ('{"arrival_s": 1}\n', "line 1: `duration_s` is missing"),
        ('{"arrival_s": 1, "duration_s": true}\n', "line 1: `duration_s` must be a number"),
        ('{"arrival_s": 1, "duration_s": 2}\n{"arri\n', "line 2: not JSON"),
        ('{"arrival_s": 1, "duration_s": 2}\n[1]\n', "line 2: not a JSON object"),
        ("arrival_s,duration_s\n1," + "9" * 200_000 + "\n", "line"),
    ],
)
def test_a_bad_row_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match="`jobs.csv` ") as raised:
        read(text)
    assert message in raised.value.message
    assert "\n" not in raised.value.message and len(raised.value.message) < 200
