"""The queues of pools: commands that misbehave, SQS and Azure Queue Storage over HTTP."""

import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from select import select
from typing import Any

import boto3
import pytest
from support.cli import Operator
from support.pools import a_pool
from support.wire import Answer, Sent

from gpuctl.domain.pools.load import QueueReading
from gpuctl.errors import UnreachableError
from gpuctl.providers.base import Connection
from gpuctl.wiring.queues import read_queue

SHORT, LONG = timedelta(seconds=1), timedelta(seconds=30)
# As Azure replies to Get Queue Metadata, in recordings of its own SDKs. Azurite 3.35 replies with the same header, and
# counts messages that are being processed as well.
AZURE_QUEUE = {
    "Cache-Control": "no-cache",
    "Server": "Windows-Azure-Queue/1.0 Microsoft-HTTPAPI/2.0",
    "x-ms-request-id": "3dc9c7aa-d003-0063-1cb1-203cb4000000",
    "x-ms-version": "2020-10-02",
}


def read(command: str, patience: timedelta = LONG, *, in_shell: bool = True) -> QueueReading:
    environ = {"PATH": os.environ["PATH"]}
    pool = a_pool(queue=f"cmd:{command}", queue_shell=in_shell)
    return read_queue(pool, Connection(environ=environ), patience)


@pytest.mark.parametrize(
    ("command", "reading"),
    [
        ("echo 3", QueueReading(3)),
        ("echo ' 0 '", QueueReading(0)),
        ('echo \'{"waiting": 3, "running": 1, "more": []}\'', QueueReading(3, 1)),
        ("echo 3; echo noise >&2", QueueReading(3)),
        ("sleep 60 & echo 3", QueueReading(3)),
        ("setsid sleep 1 & echo 3", QueueReading(3)),
    ],
)
def test_a_command_reports_its_jobs(command: str, reading: QueueReading) -> None:
    assert read(command) == reading


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo no route >&2; exit 3", "the command exited with 3: no route"),
        ("kill -9 $$", "the command exited with -9"),
        ("echo three", "its output is not a number: `three`"),
        ("echo 3 4", "its output is not a number: `3 4`"),
        ("echo 1e3", "its output is not a number: `1e3`"),
        ("echo NaN", "its output is not a number: `NaN`"),
        ("echo true", "its output is not a number of jobs: `true`"),
        ("echo 99999999999", "its output is not a number of jobs: `99999999999`"),
        ("echo '[3]'", "its output is not a number of jobs: `[3]`"),
        ("echo '{}'", "its output is not a number of jobs: `{}`"),
        ("printf '\\377\\376'", "its output is not a number"),
    ],
)
def test_a_command_that_fails_or_prints_nonsense_is_an_error_that_quotes_it(command: str, message: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        read(command)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "command", ["sleep 60", "exec >&- 2>&-; sleep 60", "trap '' TERM; sleep 60", "echo 3; sleep 60"]
)
def test_a_command_that_hangs_is_killed_when_its_time_is_out(command: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        read(command, SHORT)
    assert caught.value.message == "the command took longer than 1s"


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_a_command_that_prints_without_end_is_killed_when_it_has_written_64_kib(stream: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        read(f"yes {stream}")
    assert caught.value.message == "the command wrote more than 65,536 bytes"


def test_what_a_command_leaves_in_the_background_is_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    read(f"exec 9>{shlex.quote(str(fifo))}; sleep 60 & exec 9>&-; echo 3")
    # Readable, without a byte, as soon as nobody holds the other end.
    assert select([end], [], [], 30)[0] == [end]
    assert os.read(end, 1) == b""
    os.close(end)


def test_a_command_runs_without_a_shell_unless_one_is_wanted() -> None:
    program = f"{sys.executable} -c 'import sys; print(len(sys.argv))' '$HOME' * ;"
    assert read(program, in_shell=False) == QueueReading(4)


def create(operator: Operator, queue: str) -> None:
    ran = operator.json("pool", "create", "batch", "g4dn.xlarge", "--region", "us-east-1", "--queue", queue)
    assert ran.code == 0, ran.out
    # The queue was not read.
    assert ran.json["pool"]["demand"]["known"] is False


def demand(operator: Operator) -> dict[str, Any]:
    shape: dict[str, Any] = operator.json("pool", "show", "batch").json["pool"]["demand"]
    return shape


def held(operator: Operator) -> str:
    """Why the tick holds."""
    ran = operator.json("pool", "scale")
    (action,) = ran.json["actions"]
    assert (ran.code, action["action"], operator.active) == (8, "hold", [])
    reason: str = action["reason"]
    return reason


def test_sqs_counts_the_messages_that_wait_and_those_in_flight(operator: Operator) -> None:
    sqs = boto3.client("sqs", region_name="us-east-1", endpoint_url=operator.wire.url)
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    create(operator, f"sqs:{operator.wire.url}/123456789012/jobs")
    assert demand(operator) == {"waiting": 2, "running": 1, "known": True}
    assert [action["action"] for action in operator.json("pool", "scale").json["actions"]] == ["launch"] * 3


def test_an_sqs_queue_that_does_not_exist_or_does_not_answer_holds_the_pool(operator: Operator) -> None:
    create(operator, f"sqs:{operator.wire.url}/123456789012/none")
    assert "`QueueDoesNotExist` (The specified queue does not exist)" in held(operator)
    operator.wire.instead = lambda sent: (503, {}, b"") if "sqs" in sent.headers.get("Authorization", "") else None
    assert "could not read the queue" in held(operator)


class AzureQueue:
    """Replies to Get Queue Metadata in the place of Azure."""

    def __init__(self, operator: Operator, answer: Answer) -> None:
        self.asked: list[Sent] = []
        self._answer = answer
        operator.wire.instead = self._reply

    def _reply(self, sent: Sent) -> Answer | None:
        if not sent.path.startswith("/mystorage/jobs"):
            return None
        self.asked.append(sent)
        return self._answer


@pytest.mark.usefixtures("azure_cloud")
def test_azure_counts_all_messages_and_those_on_lease_are_being_processed(operator: Operator) -> None:
    create(operator, "azure:mystorage/jobs")
    queue = AzureQueue(operator, (200, AZURE_QUEUE | {"x-ms-approximate-messages-count": "3"}, b""))
    assert demand(operator) == {"waiting": 3, "running": 0, "known": True}
    (requested,) = queue.asked
    assert (requested.path, requested.headers["x-ms-version"]) == ("/mystorage/jobs?comp=metadata", "2020-10-02")
    operator.json("lease", "batch", "--no-wait")
    assert demand(operator) == {"waiting": 2, "running": 1, "known": True}


@pytest.mark.usefixtures("azure_cloud")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (
                404,
                AZURE_QUEUE | {"Content-Type": "application/xml", "x-ms-error-code": "QueueNotFound"},
                b"<?xml version='1.0'?><Error><Code>QueueNotFound</Code>"
                b"<Message>The specified queue does not exist.\nRequestId:3dc9c7aa</Message></Error>",
            ),
            "`QueueNotFound` (The specified queue does not exist)",
        ),
        (
            (
                403,
                AZURE_QUEUE | {"Content-Type": "application/xml", "x-ms-error-code": "AuthorizationPermissionMismatch"},
                b"<?xml version='1.0'?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is "
                b"not authorized to perform this operation using this permission.</Message></Error>",
            ),
            "not authorized to perform this operation",
        ),
        ((200, AZURE_QUEUE, b""), "the reply has no `x-ms-approximate-messages-count`"),
        ((200, AZURE_QUEUE | {"x-ms-approximate-messages-count": "many"}, b""), "the reply has no"),
        ((503, AZURE_QUEUE, b""), "503"),
    ],
    ids=["missing", "forbidden", "without a count", "nonsense", "busy"],
)
def test_an_azure_queue_that_cannot_be_read_holds_the_pool(operator: Operator, answer: Answer, reason: str) -> None:
    create(operator, "azure:mystorage/jobs")
    AzureQueue(operator, answer)
    assert reason in held(operator)
