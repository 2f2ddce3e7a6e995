"""Texts from clouds: complete in one line, and shortened for people only where nothing is lost that says why."""

import pytest

from gpuctl.cli.terminal.text import brief
from gpuctl.domain.wording import last_line, one_line, without_middle

DENIED = (
    "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/"
    "AWSReservedSSO_ResearchAdministrators_0123456789abcdef/ana.maria@research.example.com is not authorized to "
    "perform: ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:instance/* with an explicit deny in a "
    "service control policy. Encoded authorization failure message: "
)
ENCODED = "A1b2C3_-" * 150


def test_a_cloud_s_sentence_is_complete_in_one_line() -> None:
    assert one_line(f"{DENIED}\n{ENCODED}.") == f"{DENIED}{ENCODED}"


def test_a_person_reads_the_whole_denial_and_the_ends_of_the_encoded_part() -> None:
    text = brief(f"could not create: {DENIED}{ENCODED} (403)")
    assert DENIED in text and text.endswith(" (403)")
    assert len(text) < len(DENIED) + 80


@pytest.mark.parametrize("length", [1_001, 5_000])
def test_a_long_text_loses_its_middle_and_never_its_end(length: int) -> None:
    text = brief(f"begin {'word ' * (length // 5)}the reason")
    assert (text[:5], text[-10:], len(text)) == ("begin", "the reason", 1_000)


def test_an_id_of_a_cloud_is_never_cut() -> None:
    policy = "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/policyAssignments/x"
    assert brief(policy * 2) == policy * 2


def test_what_a_record_holds_is_bounded() -> None:
    assert len(one_line("x" * 100_000)) == 4_000
    assert without_middle("abcdefghi", 6) == "abc…hi"


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"", ""), (b"\n \n", ""), (b"one\ntwo\r\n\n", "two"), (b"a\x1b[31mb\n", "a [31mb"), (b"\xff", "\ufffd")],
)
def test_the_last_line_of_a_program_is_printable(content: bytes, line: str) -> None:
    assert last_line(content) == line
