"""`gpuctl reaper template`: what is printed is accepted where it is used, and permits no more than the reaper does."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from support.cli import Operator
from support.dynamodb import DynamoServer
from support.iam import Ask, actions, allows, asks, instance
from support.wire import refuse
from support.workflow import evaluated

from gpuctl.cli.commands.reaper.template import FILES
from gpuctl.domain.tags import EXPIRES_AT, STATE, deadline_tag
from gpuctl.providers.azure.names import group_of
from gpuctl.services.reap.loop import BUSY_FOR
from gpuctl.store.dynamodb.schema import table_resource

DOCS = Path(__file__).parents[3] / "docs"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {suffix: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def stack_resources() -> dict[str, Any]:
    resources: dict[str, Any] = yaml.load(FILES["aws"].read_text(), _Loader)["Resources"]
    return resources


def janitor() -> tuple[dict[str, Any], dict[str, Any]]:
    """The permissions of the janitor's role, and the definition of its workflow."""
    role, _, deployment, _ = json.loads(FILES["azure"].read_text())["resources"]
    (workflow,) = deployment["properties"]["template"]["resources"]
    return role["properties"]["permissions"][0], workflow["properties"]["definition"]


def is_deleted(name: str, tags: Mapping[str, str]) -> bool:
    """Whether the janitor deletes a group of that name with these tags now."""
    _, definition = janitor()
    condition = definition["actions"]["Expired"]["inputs"]["where"]
    return bool(evaluated(condition, {"name": name, "tags": dict(tags)}, NOW))


@pytest.mark.parametrize("platform", ["aws", "azure", "docker", "kubernetes"])
def test_each_template_is_printed_as_it_is(operator: Operator, platform: str) -> None:
    ran = operator.run("reaper", "template", platform)
    assert (ran.code, ran.out, ran.err) == (0, FILES[platform].read_text(), "")


def test_another_platform_is_refused_with_the_names_of_all(operator: Operator) -> None:
    ran = operator.run("reaper", "template", "kubernets")
    assert ran.code == 2
    assert "must be aws, azure, docker or kubernetes" in ran.err and "did you mean `kubernetes`?" in ran.err


# AWS


def test_the_linter_of_cloudformation_has_nothing_to_say() -> None:
    program = "from cfnlint.runner import main; main()"
    argv = [sys.executable, "-c", program, "--regions", "us-east-1", "--", str(FILES["aws"])]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.fixture
def emulated(operator: Operator) -> Iterator[DynamoServer]:
    server = DynamoServer()
    yield server
    server.stop()


# moto knows neither subscriptions, alarms nor the settings of asynchronous calls in a template.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS:UserWarning")
def test_the_stack_is_created_and_its_table_survives_it(emulated: DynamoServer) -> None:
    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=emulated.url, region_name="us-east-1")

    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("gpuctl/function.py", "")
    client("s3").create_bucket(Bucket="our-code")
    client("s3").put_object(Bucket="our-code", Key="gpuctl-reaper.zip", Body=packed.getvalue())
    parameters = {"CodeBucket": "our-code", "TableName": "our-state", "StateId": "a-state-id"}
    stacks = client("cloudformation")
    stacks.create_stack(
        StackName="gpuctl-reaper",
        TemplateBody=FILES["aws"].read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = stacks.describe_stacks(StackName="gpuctl-reaper")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["State"] == "dynamodb://our-state?region=us-east-1"
    function = client("lambda").get_function(FunctionName=outputs["Function"])["Configuration"]
    variables = {"GPUCTL_STATE": outputs["State"], "GPUCTL_STATE_ID": "a-state-id"}
    assert (function["Handler"], function["Environment"]["Variables"]) == ("gpuctl.function.handler", variables)
    assert timedelta(seconds=function["Timeout"]) < BUSY_FOR
    (rule,) = client("events").list_rules()["Rules"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")

    stacks.delete_stack(StackName="gpuctl-reaper")
    assert client("dynamodb").describe_table(TableName="our-state")["Table"]["TableStatus"] == "ACTIVE"


def test_the_table_is_the_one_that_state_init_creates() -> None:
    table = stack_resources()["State"]
    assert table.pop("Condition") == "HasNewTable"
    expected = table_resource("")
    expected["Properties"]["TableName"] = {"Ref": "TableName"}
    assert table == expected


def reaper_policy() -> dict[str, Any]:
    """What the role permits on EC2."""
    policies = {
        each["PolicyName"]: each["PolicyDocument"] for each in stack_resources()["Role"]["Properties"]["Policies"]
    }
    document: dict[str, Any] = policies["instances"]
    return document


def test_the_role_permits_every_call_of_the_reaper_and_names_no_other(operator: Operator) -> None:
    policy = reaper_policy()
    ec2 = operator.cloud.client("ec2")
    operator.provision("--ttl", "5", "--ssh-from", "203.0.113.7/32")
    operator.provision("--ttl", "5", "--no-wait")
    groups = ec2.describe_security_groups(Filters=[{"Name": "tag-key", "Values": [STATE]}])["SecurityGroups"]
    books = {each["GroupId"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in groups}
    operator.wire.sent.clear()
    operator.json("reap")
    state_id = operator.state_id
    operator.wire.arm("TerminateInstances", refuse("UnauthorizedOperation", 403))
    for _ in range(4):
        operator.later(minutes=20)
        operator.json("reap", "--sweep")
    operator.later(days=2)
    operator.json("reap", "--sweep")
    assert operator.active == []
    operator.state.unlink()
    operator.run("reap", environ={"GPUCTL_STATE_ID": state_id})
    books |= {instance["id"]: instance["tags"] for instance in operator.cloud.instances()}
    questions = [ask for sent in operator.wire.sent for ask in asks(sent, books.__getitem__)]
    assert [ask for ask in questions if not allows(policy, ask)] == []
    # Of instances without a timer only.
    rare = {"ec2:DescribeInstanceAttribute", "ec2:GetConsoleOutput", "ec2:CreateTags"}
    assert actions(policy) - {ask.action for ask in questions} <= rare
    assert actions(policy) <= actions(json.loads((DOCS / "aws-policy.json").read_text()))


@pytest.mark.parametrize("tags", [{}, {"Name": "theirs"}, {STATE: ""}])
def test_the_role_cannot_terminate_what_is_not_ours(tags: dict[str, str]) -> None:
    policy = reaper_policy()
    context = {f"aws:ResourceTag/{key}": (value,) for key, value in tags.items()}
    assert not allows(policy, Ask("ec2:TerminateInstances", instance("i-1"), context))
    assert allows(policy, Ask("ec2:TerminateInstances", instance("i-1"), {f"aws:ResourceTag/{STATE}": ("a-state",)}))


# Azure


@pytest.mark.parametrize(
    ("minutes", "is_expired"), [(-1, False), (0, False), (29, False), (30, False), (31, True), (60 * 24 * 40, True)]
)
def test_the_janitor_deletes_a_group_of_ours_30_minutes_after_its_deadline(minutes: int, is_expired: bool) -> None:
    tags = {STATE: "a-state-id", EXPIRES_AT: deadline_tag(NOW - timedelta(minutes=minutes))}
    assert is_deleted(group_of("inst-000000000001"), tags) is is_expired
    assert is_deleted(group_of("inst-000000000001-2").upper(), tags) is is_expired


@pytest.mark.parametrize("name", ["production", "gpuctl-janitor", "gpuctl-", "my-gpuctl-inst-000000000001"])
def test_the_janitor_spares_groups_with_other_names(name: str) -> None:
    assert not is_deleted(name, {STATE: "a-state-id", EXPIRES_AT: "20200101t000000z"})


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {STATE: "a-state-id"},
        {EXPIRES_AT: "20200101t000000z"},
        {STATE: "", EXPIRES_AT: "20200101t000000z"},
        {STATE: "a-state-id", EXPIRES_AT: ""},
        {STATE: "a-state-id", EXPIRES_AT: "never"},
        {STATE: "a-state-id", EXPIRES_AT: "0"},
        {STATE: "a-state-id", EXPIRES_AT: "2020-01-01 00:00"},
        {STATE: "a-state-id", EXPIRES_AT: "20200101t000000"},
    ],
)
def test_the_janitor_spares_groups_whose_deadline_is_missing_or_unreadable(tags: dict[str, str]) -> None:
    assert not is_deleted(group_of("inst-000000000001"), tags)


def test_the_janitor_has_only_rights_that_gpuctl_has() -> None:
    permissions, definition = janitor()
    ours = set(json.loads((DOCS / "azure-role.json").read_text())["Actions"])
    assert set(permissions["actions"]) <= ours
    assert not [action for action in permissions["actions"] if not re.search(r"/(read|delete)$", action)]
    assert definition["triggers"]["Every_15_minutes"]["recurrence"] == {"frequency": "Minute", "interval": 15}
    (delete,) = definition["actions"]["Each_expired_group"]["actions"].values()
    assert definition["actions"]["Each_expired_group"]["foreach"] == "@body('Expired')"
    assert delete["inputs"]["method"] == "DELETE"


# Containers


def test_kubernetes_runs_one_reaper_at_a_time_without_privileges() -> None:
    account, job = yaml.safe_load_all(FILES["kubernetes"].read_text())
    spec = job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["kind"], spec["schedule"], spec["concurrencyPolicy"]) == ("CronJob", "* * * * *", "Forbid")
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert timedelta(seconds=spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]) < BUSY_FOR


def test_the_container_is_not_root_and_runs_the_function() -> None:
    lines = FILES["docker"].read_text().splitlines()
    assert "USER 65532:65532" in lines
    assert lines[-1] == 'ENTRYPOINT ["python", "-m", "gpuctl.function"]'
