"""`gpuctl schedule install` uses the credentials once in exactly the environment in which the reaper will run."""

import json
import os
from pathlib import Path

import pytest
from support.cli import Operator
from support.programs import CRONTAB, with_programs

from gpuctl.cli.commands.schedule.programs import started_bare
from gpuctl.cli.commands.schedule.reaper_job import bare_environment, search_path
from gpuctl.platform import Platform
from gpuctl.services.scheduling.job import from_cron

KEYS = {"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "a-secret-canary"}
LOGIN = f"#!/bin/sh\necho '{json.dumps(KEYS)}'\n".replace("{", "{{").replace("}", "}}")
TOKEN = {"accessToken": "a-token", "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}
AZ = f"#!/bin/sh\ntouch {{folder}}/az-was-found\necho '{json.dumps(TOKEN).replace('{', '{{').replace('}', '}}')}'\n"


@pytest.fixture
def at_aws(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Credentials of a program that only this operator's PATH leads to."""
    with_programs(operator, crontab=CRONTAB, **{"my-login": LOGIN, "az": AZ})
    config = tmp_path / "aws-config"
    config.write_text("[profile work]\ncredential_process = my-login\nregion = us-east-1\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    operator.environ |= {
        "AWS_CONFIG_FILE": str(config),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": operator.wire.url,
        "AWS_PROFILE": "work",
    }
    return operator


def test_a_program_that_only_the_users_path_leads_to_is_found_and_the_account_is_shown(at_aws: Operator) -> None:
    ran = at_aws.run("schedule", "install", terminal=True)
    assert ran.code == 0
    assert "it can use your credentials: aws 123456789012" in ran.err
    assert "warning" not in ran.err
    assert "a-secret-canary" not in (at_aws.folder / "tab").read_text()


def test_the_installed_line_itself_reaps_from_nothing(at_aws: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    at_aws.run("schedule", "install")
    reaper, _ = (at_aws.folder / "tab").read_text().splitlines()
    job = from_cron(reaper)
    assert job is not None
    done = started_bare((*job.command, "--sweep"), bare_environment(), 60)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_credentials_that_the_schedule_cannot_use_are_reported_with_the_programs_own_words(at_aws: Operator) -> None:
    (at_aws.folder / "bin" / "my-login").write_text("#!/bin/sh\necho 'the vault is locked' >&2\nexit 1\n")
    ran = at_aws.run("schedule", "install")
    assert ran.code == 0
    assert "the schedule cannot use your credentials for aws: " in ran.err
    assert "the vault is locked" in ran.err


def test_keys_in_the_environment_are_not_there_for_the_schedule(at_aws: Operator) -> None:
    del at_aws.environ["AWS_PROFILE"]
    at_aws.environ |= {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-canary"}
    ran = at_aws.run("schedule", "install")
    assert "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY will not be there" in ran.err
    assert "the schedule cannot use your credentials for aws: it finds none in its environment and files" in ran.err


def test_az_is_found_where_only_the_users_path_leads_to(at_aws: Operator) -> None:
    del at_aws.environ["AWS_PROFILE"]
    at_aws.environ |= {
        "AZURE_SUBSCRIPTION_ID": "11111111-1111-4111-8111-111111111111",
        "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",
        "GPUCTL_AZURE_ENDPOINT": "https://127.0.0.1:1",
    }
    ran = at_aws.run("schedule", "install")
    assert (at_aws.folder / "az-was-found").exists(), ran.err
    # The token was had; what it leads to is nowhere.
    assert "the schedule cannot use your credentials for azure: " in ran.err


def test_where_nothing_names_a_provider_nothing_is_tried_and_that_is_printed(operator: Operator) -> None:
    with_programs(operator, crontab=CRONTAB)
    ran = operator.run("schedule", "install", terminal=True)
    assert "no credentials were tried" in ran.err


def test_the_path_has_folders_from_the_root_on_each_once_and_the_systems_own() -> None:
    here = os.getcwd()
    path = f"relative:{here}::/no/such/folder:{here}:/usr/bin:~/bin"
    assert search_path(path, Platform()) == f"{here}:/usr/bin:/usr/local/bin:/bin"
    assert search_path("", Platform()) == "/usr/local/bin:/usr/bin:/bin"
    assert search_path("", Platform("darwin")) == "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin"


def test_in_wsl_the_path_has_no_folders_of_windows(tmp_path: Path) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text(
        f"1 0 8:0 / / rw - ext4 /dev/sdc rw\n2 1 0:4 / {tmp_path}/c rw - 9p C:\\134 rw,aname=drvfs\n"
    )
    (tmp_path / "c" / "Windows").mkdir(parents=True)
    platform = Platform(kernel="5.15.167.4-microsoft-standard-WSL2", root=tmp_path)
    assert search_path(f"{tmp_path}/c/Windows:{tmp_path}", platform) == f"{tmp_path}:/usr/local/bin:/usr/bin:/bin"
