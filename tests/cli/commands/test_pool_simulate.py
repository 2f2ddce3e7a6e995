"""`pool simulate`: decide about a pool without a cloud."""

import gzip
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.cli import Operator

POLICIES = ("on-demand", "keep:10m", "reactive", "predict", "tuned", "always:2", "auto")
EVERY = [word for policy in POLICIES for word in ("--policy", policy)]


@pytest.fixture
def planner(tmp_path: Path) -> Operator:
    """Somebody who has no cloud."""
    return Operator.without_clouds(tmp_path)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """A job of 300 s every 500 s, two days long."""
    path = tmp_path / "jobs.csv"
    path.write_text("user,arrival_s,duration_s\n" + "".join(f"ana,{500 * number},300\n" for number in range(345)))
    return str(path)


def test_the_document_has_exactly_the_keys_that_scripts_rely_on(planner: Operator, trace: str) -> None:
    ran = planner.json("pool", "simulate", "--trace", trace, *EVERY)
    assert list(ran.json) == ["success", "schemaVersion", "simulation"]
    simulation = ran.json["simulation"]
    assert list(simulation) == ["jobs", "oracle", "policies"]
    assert (simulation["jobs"], list(simulation["oracle"])) == (345, ["machineSeconds"])
    assert [policy["policy"] for policy in simulation["policies"]] == list(POLICIES)
    for policy in simulation["policies"]:
        assert list(policy) == ["policy", "machineSeconds", "costRatio", "waitSeconds", "peakMachines"]
        assert list(policy["waitSeconds"]) == ["mean", "p50", "p95"]


def test_the_figures_of_each_policy(planner: Operator, trace: str) -> None:
    simulation = planner.json("pool", "simulate", "--trace", trace, *EVERY).json["simulation"]
    assert simulation["oracle"]["machineSeconds"] == 345 * 450
    figures = {policy["policy"]: policy for policy in simulation["policies"]}
    assert figures["on-demand"]["costRatio"] == 1
    assert figures["on-demand"]["waitSeconds"] == {"mean": 150, "p50": 150, "p95": 150}
    assert figures["keep:10m"]["waitSeconds"]["p50"] == 0
    assert figures["always:2"]["peakMachines"] == 2
    assert figures["reactive"]["waitSeconds"]["p95"] == 0


def test_without_policies_the_usual_ones_are_compared(planner: Operator, trace: str) -> None:
    assert planner.run("pool", "simulate", "--trace", trace, "-q").out.split() == [
        "on-demand", "keep:10m", "reactive", "predict", "tuned",
    ]  # fmt: skip


def test_only_what_follows_the_training_counts(planner: Operator, trace: str) -> None:
    simulation = planner.json("pool", "simulate", "--trace", trace, "--train-until", "86400").json["simulation"]
    assert simulation["jobs"] == 345 - 173
    assert planner.json("pool", "simulate", "--trace", trace, "--train-until", "1d").json["simulation"] == simulation


def test_the_value_of_waiting_is_its_cost_divided_by_the_price(planner: Operator, trace: str) -> None:
    def chosen(*options: str) -> str:
        return planner.run(
            "pool", "simulate", "--trace", trace, "--train-until", "1d", "--policy", "tuned", *options
        ).err

    assert "as much as 60 instances" in chosen("--wait-cost", "30", "--price", "0.5")
    cheap, dear = chosen("--wait-cost", "0.01"), chosen("--wait-cost", "1000")
    assert "tuned: on-demand" in cheap and "tuned: on-demand" not in dear


def test_instances_that_are_used_once_are_not_kept(planner: Operator, trace: str) -> None:
    ran = planner.json("pool", "simulate", "--trace", trace, "--policy", "keep:10m", "--reuse", "never")
    assert ran.json["simulation"]["policies"][0]["waitSeconds"]["p50"] == 150


def test_never_more_instances_than_the_maximum(planner: Operator, trace: str) -> None:
    ran = planner.json("pool", "simulate", "--trace", trace, *EVERY, "--max", "1")
    assert {policy["peakMachines"] for policy in ran.json["simulation"]["policies"]} == {1}


def test_a_terminal_shows_figures_and_instances_over_time(planner: Operator, trace: str, tmp_path: Path) -> None:
    picture = tmp_path / "pool.svg"
    ran = planner.run("pool", "simulate", "--trace", trace, "--chart", str(picture), terminal=True)
    for text in ("POLICY", "MEAN WAIT", "150s", "INSTANCES OVER 47h", "demand", "█"):
        assert text in ran.out
    assert "cheapest with waits" in ran.err and f"chart written to {picture}" in ran.err
    names = {element.text for element in ElementTree.parse(picture).iter() if element.tag.endswith("text")}
    assert {"Instances over time", "predict"} <= names


def test_a_pipe_gets_a_row_for_each_policy(planner: Operator, trace: str) -> None:
    rows = planner.run("pool", "simulate", "--trace", trace, "-o", "csv").out.splitlines()
    assert rows[:2] == [
        "policy,machineSeconds,costRatio,waitMean,waitP50,waitP95,peakMachines",
        "on-demand,155250.000,1.0000,150.000,150.000,150.000,1",
    ]


def test_compressed_files_and_standard_input(planner: Operator, trace: str, tmp_path: Path) -> None:
    expected = planner.json("pool", "simulate", "--trace", trace).json
    packed = tmp_path / "jobs"
    packed.write_bytes(gzip.compress(Path(trace).read_bytes()))
    assert planner.json("pool", "simulate", "--trace", str(packed)).json == expected
    assert planner.run("pool", "simulate", "--trace", "-", "-o", "json", typed=Path(trace).read_text()).json == expected


@pytest.mark.parametrize("jobs", ["", "5,10\n"])
@pytest.mark.parametrize("options", [[], ["--train-until", "9000000"]])
def test_hardly_a_job(planner: Operator, tmp_path: Path, jobs: str, options: list[str]) -> None:
    path = tmp_path / "few.csv"
    path.write_text("arrival_s,duration_s\n" + jobs)
    arguments = ["pool", "simulate", "--trace", str(path), *EVERY, *options, "--chart", str(tmp_path / "few.svg")]
    simulation = planner.json(*arguments).json["simulation"]
    assert simulation["jobs"] == (1 if jobs and not options else 0)
    assert planner.run(*arguments, terminal=True).code == 0


def test_a_bad_row_is_named_with_its_line(planner: Operator, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("arrival_s,duration_s\n1,2\n3,-4\n")
    ran = planner.run("pool", "simulate", "--trace", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == "error: `bad.csv` line 3: `duration_s` must be 0 or more, not `-4`"
    failed = planner.json("pool", "simulate", "--trace", str(path))
    assert (failed.code, failed.json["success"], failed.json["error"]["code"]) == (2, False, "usage")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trace", "{tmp}/none.csv"], "cannot be read: No such file"),
        (["--trace", "{tmp}"], "cannot be read: Is a directory"),
        (["--trace", "{tmp}/cut.gz"], "cannot be decompressed"),
        (["--trace", "{tmp}/latin.csv"], "line 2: not text in UTF-8"),
        (["--trace", "{trace}", "--policy", "magic"], "--policy must be"),
        (["--trace", "{trace}", "--boot", "0s"], "--boot must be 1s to 1d"),
        (["--trace", "{trace}", "--tick", "soon"], "--tick must be a duration"),
        (["--trace", "{trace}", "--train-until", "inf"], "--train-until must be a number of seconds"),
        (["--trace", "{trace}", "--max", "0"], "--max must be 1 to 10,000"),
        (["--trace", "{trace}", "--price", "0"], "--price must be dollars"),
        (["--trace", "{trace}", "--reuse", "often"], "--reuse must be any or never"),
        (["--trace", "{trace}", "--chart", "a.png"], "--chart draws SVG"),
        (["--trace", "{trace}", "--chart", "{tmp}/none/a.svg"], "cannot be written"),
        ([], "--trace"),
    ],
)
def test_invalid_values_are_one_line(
    planner: Operator, trace: str, tmp_path: Path, options: list[str], message: str
) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"arrival_s,duration_s\n" * 99)[:-9])
    (tmp_path / "latin.csv").write_bytes(b"arrival_s,duration_s\n1,\xe9\n")
    ran = planner.run("pool", "simulate", *(word.format(tmp=tmp_path, trace=trace) for word in options))
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err.splitlines()[0]
