"""`gpuctl selftest`: whole in the sandbox on both clouds, and one broken promise at a time on the emulated ones."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator, Ran
from support.pricelists import PriceApis, meter, product
from support.sshd import Sshd
from support.wire import Answer, Fault, Phase, Sent, refuse, refuse_arm

from gpuctl.remote.keys import own_key

NAMES = [
    "create", "listing", "ready", "tags", "timer", "ssh", "gpu", "timer-running", "replay", "extend", "price", "end",
    "nothing-left",
]  # fmt: skip
T4, AZURE_T4 = "g4dn.xlarge", "Standard_NC4as_T4_v3"
_ENTER = '#!/bin/bash\nexport HOME={home} PATH={home}/bin:$PATH; cd && exec /bin/bash -c "$SSH_ORIGINAL_COMMAND"\n'


def statuses(ran: Ran) -> dict[str, str]:
    return {check["name"]: check["status"] for check in ran.json["checks"]}


def failed(ran: Ran) -> list[str]:
    return [name for name, status in statuses(ran).items() if status == "failed"]


def program(sshd: Sshd, name: str, text: str, code: int = 0) -> None:
    """A program on the instance that prints this text."""
    (sshd.home / "bin").mkdir(exist_ok=True)
    path = sshd.home / "bin" / name
    path.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
    path.chmod(0o755)


def listed_at(usd: str) -> "Any":
    """AWS's price list with that price of the T4 instance."""
    listed = json.dumps({"PriceList": [json.dumps(product(T4, usd))]}).encode()
    answer: Answer = (200, {"Content-Type": "application/x-amz-json-1.1"}, listed)
    return lambda sent: answer if sent.action == "GetProducts" else None


@pytest.fixture
def tester(operator: Operator, sshd: Sshd) -> Operator:
    """An operator on the emulated AWS whose instances lead to an ssh server with a T4 and a running guard."""
    (sshd.folder / "enter").write_text(_ENTER.format(home=sshd.home))
    program(sshd, "nvidia-smi", "Tesla T4, 550.163.01, 15360 MiB")
    program(sshd, "systemctl", "active")
    sshd.let_in(own_key(operator.state.parent / "ssh").public)
    operator.environ |= {
        "GPUCTL_SSH_OPTIONS": f"HostName=127.0.0.1,Port={sshd.port}",
        "GPUCTL_SSH_USER": sshd.user,
        "PATH": os.environ["PATH"],
    }
    operator.wire.instead = listed_at("0.526")
    return operator


@pytest.fixture
def azure_cloud(tester: Operator, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAzure]:
    """The same operator's Azure."""
    apis = PriceApis()
    apis.meters = [meter(AZURE_T4, 0.526)]
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", tester.wire.url)
    tester.environ |= {
        "GPUCTL_AZURE_ENDPOINT": tester.wire.url,
        "GPUCTL_AZURE_PRICES_ENDPOINT": apis.url,
        "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
    }
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda transport, span: None)
    past_gpuctl = LoopbackAzure(tester.cloud)
    yield past_gpuctl
    past_gpuctl.close()
    apis.stop()


def aws(tester: Operator, *argv: str) -> Ran:
    return tester.json("selftest", T4, "--region", "us-east-1", *argv)


def azure(tester: Operator, *argv: str) -> Ran:
    return tester.json("selftest", AZURE_T4, "--region", "eastus", *argv)


def test_every_promise_is_kept_on_the_emulated_aws(tester: Operator) -> None:
    ran = aws(tester)
    assert statuses(ran) == dict.fromkeys(NAMES, "ok"), ran.json["checks"]
    assert (ran.code, tester.active) == (0, [])
    assert tester.json("list", "--all").json["instances"][0]["status"] == "TERMINATED"


def test_every_promise_is_kept_on_the_emulated_azure(tester: Operator, azure_cloud: LoopbackAzure) -> None:
    ran = azure(tester)
    skipped = {"timer-running": "skipped"}
    assert statuses(ran) == dict.fromkeys(NAMES, "ok") | skipped, ran.json["checks"]
    assert (ran.code, azure_cloud.resources()) == (0, [])


def test_the_report_has_every_figure_and_no_account_id(tester: Operator, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    ran = aws(tester, "--report", str(file))
    report = json.loads(file.read_text())
    observed = {check["name"]: check["observed"] for check in report["checks"]}
    assert report == ran.json
    assert (report["success"], report["schemaVersion"], report["count"], report["failed"]) == (True, 1, 13, 0)
    assert report["account"] == "…9012"
    assert observed["listing"]["lagSeconds"] == 0
    assert observed["price"] == {
        "usdPerHour": 0.526,
        "priceAsOf": "2026-07-20",
        "ageDays": 127,
        "listedUsdPerHour": 0.526,
    }
    assert observed["gpu"]["gpus"] == ["Tesla T4, 550.163.01, 15360 MiB"]
    for secret in ("123456789012", "AKIA", "a-secret-canary", str(tmp_path), "ana"):
        assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_account_id_in_the_clouds_own_words_does_not_reach_the_report(tester: Operator, tmp_path: Path) -> None:
    denial = "User: arn:aws:iam::123456789012:user/ana with AKIAIOSFODNN7EXAMPLE from 203.0.113.7 is not authorized"
    tester.wire.arm("DescribeVolumes", refuse("UnauthorizedOperation", 403, denial))
    ran = aws(tester, "--report", str(tmp_path / "report.json"))
    text = (tmp_path / "report.json").read_text()
    assert statuses(ran)["tags"] == "unknown"
    assert ran.code == 1
    assert [item for item in ("123456789012", "AKIAIOSFODNN7EXAMPLE", "203.0.113.7") if item in text + ran.out] == []


def test_a_secret_in_the_clouds_own_words_does_not_reach_the_report_file(tester: Operator, tmp_path: Path) -> None:
    secret, file = os.environ["AWS_SECRET_ACCESS_KEY"], tmp_path / "report.json"
    tester.wire.arm("DescribeVolumes", refuse("UnauthorizedOperation", 403, f"refused with {secret}"))
    ran = aws(tester, "--report", str(file))
    assert "refused with …" in file.read_text()
    assert secret not in file.read_text() + ran.out + ran.err
    assert json.loads(file.read_text()) == ran.json


# One broken promise each; what breaks it is armed before the run.


def _tags_lost(tester: Operator, sshd: Sshd) -> None:
    def watch(phase: Phase, sent: Sent) -> bool:
        if phase is Phase.DONE and sent.action == "RunInstances":
            ec2 = tester.cloud.client("ec2")
            (volume,) = ec2.describe_volumes()["Volumes"]
            ec2.delete_tags(Resources=[volume["VolumeId"]], Tags=[{"Key": "gpuctl-expires-at"}])
        return True

    tester.wire.watch = watch


def _no_timer(tester: Operator, sshd: Sshd) -> None:
    body = b"<DescribeInstanceAttributeResponse><userData/></DescribeInstanceAttributeResponse>"
    prices = tester.wire.instead
    answer: Answer = (200, {"Content-Type": "text/xml"}, body)
    tester.wire.instead = lambda sent: answer if sent.action == "DescribeInstanceAttribute" else prices(sent)


def _guard_dead(tester: Operator, sshd: Sshd) -> None:
    program(sshd, "systemctl", "inactive", code=3)
    body = b"<GetConsoleOutputResponse><output/></GetConsoleOutputResponse>"
    prices = tester.wire.instead
    answer: Answer = (200, {"Content-Type": "text/xml"}, body)
    tester.wire.instead = lambda sent: answer if sent.action == "GetConsoleOutput" else prices(sent)


def _no_ssh(tester: Operator, sshd: Sshd) -> None:
    (sshd.folder / "authorized_keys").write_text("")


def _no_gpu(tester: Operator, sshd: Sshd) -> None:
    program(sshd, "nvidia-smi", "NVIDIA-SMI has failed", code=9)


def _wrong_gpu(tester: Operator, sshd: Sshd) -> None:
    program(sshd, "nvidia-smi", "NVIDIA A10G, 550.163.01, 23028 MiB")


def _never_ready(tester: Operator, sshd: Sshd) -> None:
    body = b"<DescribeInstanceStatusResponse><instanceStatusSet/></DescribeInstanceStatusResponse>"
    prices = tester.wire.instead
    answer: Answer = (200, {"Content-Type": "text/xml"}, body)
    tester.wire.instead = lambda sent: answer if sent.action == "DescribeInstanceStatus" else prices(sent)


def _two_for_one(tester: Operator, sshd: Sshd) -> None:
    sends: list[str] = []

    def watch(phase: Phase, sent: Sent) -> bool:
        if phase is Phase.SENT and sent.action == "RunInstances":
            sends.append(sent.action)
            if len(sends) == 2:
                tags = next(instance["tags"] for instance in tester.cloud.instances())
                tester.cloud.launch(tags=tags)
        return True

    tester.wire.watch = watch


def _deadline_stays(tester: Operator, sshd: Sshd) -> None:
    body = b"<CreateTagsResponse><return>true</return></CreateTagsResponse>"
    tester.wire.arm("CreateTags", Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, body)))


def _other_price(tester: Operator, sshd: Sshd) -> None:
    tester.wire.instead = listed_at("0.752")


@pytest.mark.parametrize(
    ("breaks", "check"),
    [
        (_tags_lost, "tags"),
        (_no_timer, "timer"),
        (_guard_dead, "timer-running"),
        (_no_ssh, "ssh"),
        (_no_gpu, "gpu"),
        (_wrong_gpu, "gpu"),
        (_never_ready, "ready"),
        (_two_for_one, "replay"),
        (_deadline_stays, "extend"),
        (_other_price, "price"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.strip("_"),
)
def test_a_broken_promise_fails_its_own_check_and_no_other(
    tester: Operator, sshd: Sshd, breaks: Any, check: str
) -> None:
    breaks(tester, sshd)
    ran = aws(tester, "--timeout", "1m")
    assert (failed(ran), ran.code) == ([check], 1), ran.json["checks"]
    assert ran.json["error"]["code"] == "cloud"
    assert (statuses(ran)["end"], statuses(ran)["nothing-left"], tester.active) == ("ok", "ok", [])


def test_a_refused_create_has_its_own_exit_code_and_leaves_nothing(tester: Operator) -> None:
    tester.wire.arm("RunInstances", *[refuse("InsufficientInstanceCapacity", 500)] * 40)
    ran = aws(tester)
    assert (failed(ran), ran.code, ran.json["error"]["code"]) == (["create"], 5, "capacity")
    assert ran.json["checks"][0]["observed"]["code"] == "capacity"
    assert set(statuses(ran).values()) == {"failed", "skipped", "ok"}
    assert (statuses(ran)["nothing-left"], tester.active) == ("ok", [])


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A confirmation that never comes is waited for 20 s instead of 10 minutes."""
    monkeypatch.setattr("gpuctl.services.selftest.runner.GONE_WITHIN", timedelta(seconds=20))


@pytest.mark.usefixtures("_impatient")
def test_an_instance_that_is_not_confirmed_terminated_is_unresolved(tester: Operator) -> None:
    tester.wire.arm("TerminateInstances", *[refuse("OperationNotPermitted")] * 400)
    ran = aws(tester)
    assert (failed(ran), ran.code, ran.json["error"]["code"]) == (["end", "nothing-left"], 8, "unresolved")
    assert len(tester.active) == 1
    tester.wire.reset()
    assert tester.json("reap", "--wait").code == 0
    assert tester.active == []


def test_a_volume_that_is_left_behind_is_unresolved_and_named(tester: Operator) -> None:
    def watch(phase: Phase, sent: Sent) -> bool:
        if phase is Phase.DONE and sent.action == "TerminateInstances":
            tags = [{"Key": "gpuctl-id", "Value": tester.records[0].id}]
            tester.cloud.client("ec2").create_volume(
                AvailabilityZone="us-east-1a", Size=8, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
            )
        return True

    tester.wire.watch = watch
    ran = aws(tester)
    assert (failed(ran), ran.code) == (["nothing-left"], 8)
    assert "volume vol-" in ran.json["error"]["message"]


def test_what_azure_lists_too_late_fails_the_check_of_the_listing(tester: Operator, azure_cloud: LoopbackAzure) -> None:
    azure_cloud.set(listing_lag_s=150)
    ran = azure(tester)
    assert (failed(ran), ran.code, azure_cloud.resources()) == (["listing"], 1, []), ran.json["checks"]


def test_a_schedule_that_azure_refuses_fails_the_check_of_the_timer(
    tester: Operator, azure_cloud: LoopbackAzure
) -> None:
    tester.wire.arm("PUT schedules", *[refuse_arm("AuthorizationFailed", 403)] * 400)
    ran = azure(tester)
    assert "timer" in failed(ran)
    assert (ran.code, azure_cloud.resources()) == (1, [])


@pytest.mark.usefixtures("_impatient")
def test_a_group_that_azure_does_not_delete_is_unresolved(tester: Operator, azure_cloud: LoopbackAzure) -> None:
    azure_cloud.break_next("ResourceGroupDeletionBlocked", times=-1)
    ran = azure(tester)
    assert (failed(ran)[-1], ran.code) == ("nothing-left", 8)
    assert "group gpuctl-inst-" in json.dumps(ran.json["checks"])


def test_another_instance_of_the_state_keeps_its_security_group(tester: Operator) -> None:
    tester.provision("--name", "mine")
    ran = aws(tester)
    assert (ran.code, statuses(ran)["nothing-left"], len(tester.active)) == (0, "ok", 1)


def test_the_cost_limit_is_kept_before_anything_is_written(tester: Operator) -> None:
    ran = aws(tester, "--max-cost", "0.10")
    assert (ran.code, tester.wire.calls("RunInstances"), tester.state.exists()) == (2, [], False)
    assert "more than $0.10" in ran.json["error"]["message"]
    assert ran.json["error"]["hint"].startswith("add `--max-cost 0.6")


def test_without_a_type_the_cheapest_with_an_nvidia_gpu_is_started(tester: Operator, sshd: Sshd) -> None:
    program(sshd, "nvidia-smi", "NVIDIA T4G, 550.163.01, 15360 MiB")
    ran = tester.json("selftest", "--provider", "aws", "--region", "us-east-1")
    assert ran.json["instanceType"] == "g5g.xlarge"
    assert failed(ran) == ["price"]


def test_a_short_max_ttl_leaves_room_for_the_extension(tester: Operator) -> None:
    ran = tester.run("selftest", T4, "--region", "us-east-1", "-o", "json", environ={"GPUCTL_MAX_TTL": "40m"})
    assert (failed(ran), tester.records[0].ttl) == ([], timedelta(minutes=25))
    refused = tester.run("selftest", T4, "--region", "us-east-1", environ={"GPUCTL_MAX_TTL": "10m"})
    assert (refused.code, "needs a `max_ttl` of at least 20m" in refused.err) == (2, True)


def test_without_type_and_provider_it_says_what_is_missing(tester: Operator) -> None:
    assert tester.run("selftest", "--region", "us-east-1").err.startswith("error: Provider is required\n")


def test_on_a_terminal_it_says_the_cost_and_asks(tester: Operator) -> None:
    refused = tester.run("selftest", T4, "--region", "us-east-1", terminal=True, typed="n\n")
    assert (refused.code, tester.wire.calls("RunInstances")) == (2, [])
    assert "costs at most $0." in refused.err
    assert "Start the self-test? [y/N]" in refused.err


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_created(tester: Operator) -> None:
    ran = aws(tester, "--report", "/nowhere/report.json")
    assert (ran.code, tester.wire.calls("RunInstances")) == (2, [])


def test_a_person_sees_a_line_for_each_check(tester: Operator) -> None:
    ran = tester.run("selftest", T4, "--region", "us-east-1", "--yes", "--color", "never", terminal=True)
    assert [line.split()[:2] for line in ran.out.splitlines() if line[:1] != " "] == [["ok", name] for name in NAMES]
    assert "13 checks: 13 ok; cost $0.0" in ran.err


def _sandbox(folder: Path, *argv: str, **how: Any) -> "subprocess.Popen[str]":
    preserved = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ = {
        **preserved,
        "XDG_STATE_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "gpuctl", "--sandbox", *argv],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Path]:
    """A folder of its own; the sandbox that was started in it is stopped."""
    yield tmp_path
    _sandbox(tmp_path, "sandbox", "stop").communicate()


@pytest.mark.parametrize(
    ("provider", "region", "untested"),
    [("aws", "us-east-1", ["price"]), ("azure", "eastus", ["timer-running", "price"])],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the guard needs the tools of Linux")
def test_in_the_sandbox_it_runs_whole_and_says_what_cannot_be_tested_there(
    sandbox: Path, provider: str, region: str, untested: list[str]
) -> None:
    done = _sandbox(sandbox, "selftest", "--provider", provider, "--region", region, "-o", "json")
    out, err = done.communicate()
    report = json.loads(out)
    by_name = {check["name"]: check for check in report["checks"]}
    skipped = [name for name, item in by_name.items() if item["status"] == "skipped"]
    assert (done.returncode, report["sandbox"], report["failed"]) == (0, True, 0), err
    assert skipped == untested


def test_a_signal_ends_the_instance_and_leaves_a_report(sandbox: Path) -> None:
    file = sandbox / "report.json"
    running = _sandbox(
        sandbox, "selftest", "--provider", "aws", "--region", "us-east-1", "-o", "json", "--report", str(file)
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("selftest: tags"):
            running.send_signal(signal.SIGTERM)
            break
    out, _ = running.communicate()
    report = json.loads(file.read_text())
    by_name = {check["name"]: check["status"] for check in report["checks"]}
    assert (running.returncode, json.loads(out), report["error"]["code"]) == (143, report, "interrupted")
    assert (by_name["create"], by_name["end"], list(by_name)) == ("ok", "unknown", NAMES)
    listed = _sandbox(sandbox, "list", "--all", "-o", "json").communicate()[0]
    assert {instance["status"] for instance in json.loads(listed)["instances"]} <= {"STOPPING", "TERMINATED"}
