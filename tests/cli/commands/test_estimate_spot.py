"""`gpuctl estimate --spot-trace`: the rule of `run --finish-by`, replayed."""

from pathlib import Path

import pytest
from support.cli import Operator

HEADER = "zone,start_s,length_s,available\n"


@pytest.fixture
def buyer(tmp_path: Path) -> Operator:
    """Somebody who sends no request."""
    return Operator.without_clouds(tmp_path)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.csv"
    path.write_text(HEADER + "a,0,7200,1\na,7200,79200,0\nb,0,86400,1\n", "utf-8")
    return str(path)


def test_each_start_is_replayed_and_summed_up(buyer: Operator, trace: str) -> None:
    argv = ("estimate", "--spot-trace", trace, "--work", "2h", "--finish-by", "5h", "--start", "0", "--start", "2h")
    document = buyer.json(*argv).json
    assert document == {
        "success": True,
        "schemaVersion": 1,
        "spot": [
            {"start": 0, "cost": 1.285714, "onDemandShare": 0.512195, "late": False, "interruptions": 1, "switches": 1},
            {"start": 7200, "cost": 0.3, "onDemandShare": 0.0, "late": False, "interruptions": 0, "switches": 0},
        ],
        "summary": {"cost": 0.792857, "late": 0},
    }
    shared = buyer.json(*argv, "--spot-share", "0.5", "--restart", "0s", "--checkpointed").json
    assert shared["summary"] == {"cost": 0.5, "late": 0}


def test_without_starts_a_hundred_of_them_are_spread_over_the_trace(buyer: Operator, trace: str) -> None:
    argv = ("estimate", "--spot-trace", trace, "--work", "1h", "--finish-by", "2h", "--checkpointed")
    assert len(buyer.json(*argv).json["spot"]) == 100
    shown = buyer.run(*argv, terminal=True, environ={"NO_COLOR": "1"})
    assert "INTERRUPTIONS" in shown.out
    assert "mean of 100 starts over 2 zones: 0.3" in shown.err and "0 late" in shown.err
    assert len(buyer.json(*argv[:-1], "--finish-by", "2d").json["spot"]) == 1
    assert buyer.run(*argv, "-o", "csv").out.startswith("start,cost,onDemandShare,late,interruptions,switches\n0,0.3,")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("g4dn.xlarge", "--spot-trace", "TRACE", "--work", "1h", "--finish-by", "2h"), "either TYPE or --spot-trace"),
        (("--spot-trace", "TRACE", "--work", "1h"), "needs --work and --finish-by"),
        (("--spot-trace", "TRACE", "--work", "0s", "--finish-by", "2h"), "--work must be above zero"),
        (
            ("--spot-trace", "TRACE", "--work", "3h", "--finish-by", "2h"),
            "--finish-by must be at least the duration of --work",
        ),
        (("--spot-trace", "nowhere.csv", "--work", "1h", "--finish-by", "2h"), "cannot be read: No such file"),
        (("--spot-trace", "TRACE", "--work", "1h", "--finish-by", "2h", "--start", "-1"), "--start must be"),
        (("--spot-trace", "TRACE", "--work", "1h", "--finish-by", "2h", "--spot-share", "0"), "--spot-share must be"),
        (("--spot-trace", "TRACE", "--work", "1h", "--finish-by", "2h", "--start", "999999999999"), "not in the trace"),
        (("g4dn.xlarge", "--work", "1h"), "need --spot-trace"),
        ((), "Instance type is required"),
    ],
)
def test_options_that_do_not_go_together_are_one_error(
    buyer: Operator, trace: str, options: tuple[str, ...], text: str
) -> None:
    failed = buyer.run("estimate", *(trace if word == "TRACE" else word for word in options))
    assert failed.code == 2 and text in failed.err


def test_a_file_that_is_not_text_is_one_error(buyer: Operator, tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    failed = buyer.run("estimate", "--spot-trace", str(path), "--work", "1h", "--finish-by", "2h")
    assert failed.code == 2 and "is not UTF-8 text" in failed.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must have the columns"),
        (HEADER, "has no rows"),
        ("zone,start_s,length_s\na,0,1\n", "must have the columns"),
        (HEADER + "a,0,1000,1\na,500,1000,0\n", "two periods of `a` in the trace overlap at 500 s"),
        (HEADER + "a,1e300,10,1\n", "`start_s` in line 2 of the trace must be a number"),
    ],
)
def test_a_file_that_is_not_a_trace_is_one_error(buyer: Operator, tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "trace.csv").write_text(text)
    failed = buyer.run("estimate", "--spot-trace", str(tmp_path / "trace.csv"), "--work", "1h", "--finish-by", "2h")
    assert failed.code == 2 and problem in failed.err


def test_a_trace_of_a_spreadsheet_with_fractions_of_seconds_is_read(buyer: Operator, tmp_path: Path) -> None:
    # A byte order mark, line ends of Windows, and 0.1 + 0.2, which is a little more than 0.3.
    (tmp_path / "trace.csv").write_bytes(f"\ufeff{HEADER}a,0.1,0.2,1\na,0.3,86400,1\n".replace("\n", "\r\n").encode())
    argv = ("--work", "1h", "--finish-by", "3h", "--start", "0.1")
    document = buyer.json("estimate", "--spot-trace", str(tmp_path / "trace.csv"), *argv).json
    assert document["summary"] == {"cost": 0.3, "late": 0}
