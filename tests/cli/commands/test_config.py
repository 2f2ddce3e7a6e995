"""The settings: one table, five sources, and where each value comes from."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from support.cli import Operator

from gpuctl.config import Settings, SshConfig, read_settings
from gpuctl.config.schema import KEYS
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.money.budgets import BudgetAction, Limits
from gpuctl.errors import UsageError
from gpuctl.providers.facts import CloudFacts
from gpuctl.providers.registry import all_facts

EVERYTHING = """
user = "ana"
max_ttl = "180m"
confirm_above_usd = 2.5
archive_after = "14d"
reap_state_ids = ["ci-repo-1"]
[aws]
region = "us-east-1"
sweep_regions = ["eu-west-1"]
profile = "work"
[azure]
region = "eastus"
subscription = "00000000-0000-0000-0000-000000000001"
[budget]
daily_usd = 50
action = "warn"
[budget.user.ana]
daily_usd = 20
[budget.tag."project=x"]
monthly_usd = 200
[hooks]
ready = "notify-send ready"
[ssh]
from = "192.0.2.7"
options = ["ProxyJump=bastion"]
[profile.prod]
max_ttl = "1d"
[profile.prod.aws]
profile = "prod"
[profile.prod.budget.user.ana]
daily_usd = 5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(EVERYTHING)
    return path


def reading(file: Path, *, profile: str | None = None, **environ: str) -> Settings:
    return read_settings(file, is_explicit=True, environ=environ, profile=profile)


def test_every_section_of_the_file_becomes_values(file: Path) -> None:
    config = reading(file).config
    assert (config.user, config.max_ttl, config.confirm_above_usd) == ("ana", timedelta(hours=3), Decimal("2.5"))
    assert (config.archive_after, config.reap_state_ids) == (timedelta(days=14), ("ci-repo-1",))
    aws, azure = config.cloud(ProviderName.AWS), config.cloud(ProviderName.AZURE)
    assert (aws.region, aws.sweep_regions, aws.profile) == ("us-east-1", ("eu-west-1",), "work")
    assert (azure.region, azure.profile) == ("eastus", "00000000-0000-0000-0000-000000000001")
    assert (config.budget.daily_usd, config.budget.action) == (Decimal(50), BudgetAction.WARN)
    assert config.budget.per_user == {"ana": Limits(daily_usd=Decimal(20))}
    assert config.budget.per_tag == {"project=x": Limits(monthly_usd=Decimal(200))}
    assert config.hooks == {"ready": "notify-send ready"}
    assert config.ssh == SshConfig(ssh_from="192.0.2.7/32", options=("ProxyJump=bastion",))


def test_a_profile_goes_over_the_file_and_the_environment_over_both(file: Path) -> None:
    settings = reading(file, profile="prod", GPUCTL_MAX_TTL="6h", GPUCTL_SSH_OPTIONS="A=1, B=2")
    config = settings.config
    assert (config.max_ttl, settings.source("max_ttl")) == (timedelta(hours=6), "GPUCTL_MAX_TTL")
    assert (config.cloud(ProviderName.AWS).profile, settings.source("aws", "profile")) == ("prod", "[profile.prod]")
    assert (config.cloud(ProviderName.AWS).region, settings.source("aws", "region")) == ("us-east-1", "config")
    assert config.budget.per_user["ana"].daily_usd == Decimal(5)
    assert (config.ssh.options, settings.source("archive_after")) == (("A=1", "B=2"), "config")


def test_a_profile_whose_login_is_not_the_ambient_one_is_refused(file: Path, operator: Operator) -> None:
    ran = operator.run("list", "--config", str(file), "--profile", "prod", environ={"AWS_PROFILE": "dev"})
    assert (ran.code, ran.out) == (2, "")
    assert "AWS_PROFILE is `dev`" in ran.err
    assert operator.run("list", "--config", str(file), "--profile", "prod", environ={"AWS_PROFILE": "prod"}).code == 0
    assert operator.run("list", "--config", str(file), environ={"AWS_PROFILE": "dev"}).code == 0


@pytest.mark.parametrize("facts", all_facts(), ids=lambda facts: facts.name)
def test_a_profile_and_a_variable_of_any_cloud_that_disagree_are_refused(tmp_path: Path, facts: CloudFacts) -> None:
    path, key = tmp_path / "profile.toml", KEYS[facts.name, facts.login]
    path.write_text(f'[profile.prod.{facts.name}]\n{facts.login} = "one"\n')
    for variable in key.variables:
        with pytest.raises(UsageError, match=f"{variable} is `another`"):
            reading(path, profile="prod", **{variable: "another"})
        ours = {str(key.variable): "another"}
        assert (
            reading(path, profile="prod", **{variable: "another"}, **ours).config.cloud(facts.name).profile == "another"
        )
    assert reading(path, profile="prod").config.cloud(facts.name).profile == "one"


def test_the_sample_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    path = tmp_path / "sample.toml"
    path.write_text(page.split("```toml\n", 1)[1].split("```", 1)[0])
    assert reading(path, profile="prod").config.max_ttl == timedelta(days=1)


def test_an_unknown_profile_is_refused_by_every_command_with_the_nearest(file: Path, operator: Operator) -> None:
    ran = operator.run("list", "--config", str(file), environ={"GPUCTL_PROFILE": "prood"})
    assert (ran.code, "did you mean `--profile prod`?" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[budget]\ndaly_usd = 5", "unknown key [budget] `daly_usd`"),
        ("[budget.user.ana]\nweekly_usd = 5", "unknown key [budget.user.ana] `weekly_usd`"),
        ("[budget.tag.project]\ndaily_usd = 5", "is not a tag"),
        ("[budget]\nuser = 5", "`budget.user` in"),
        ("[budget]\naction = 'kill'", "budget.action must be warn, block, terminate, not `kill`"),
        ("[budget]\ndaily_usd = -5", "budget.daily_usd must be dollars"),
        ("[budget]\ndaily_usd = nan", "budget.daily_usd must be dollars"),
        ("[hooks]\n'instance:redy' = 'x'", "unknown key [hooks] `instance:redy`"),
        ("[hooks]\nready = 'http://example.com/secret'", "must be a command or an https URL"),
        ("[ssh]\nfrom = 'everywhere'", "must be `auto`, `none` or a CIDR"),
        ("[ssh]\noptions = 'A=1'", "must be a list of texts"),
        ("[profile.a.aws]\nregoin = 'x'", "unknown key [profile.a.aws] `regoin`"),
        ("[profile.a]\nprofile = 'b'", "unknown key [profile.a] `profile`"),
        ("profile = 'b'", "`profile` in"),
        ("aws = 'b'", "`aws` in"),
        ("[azure]\nsubnet = 'b'", "unknown key [azure] `subnet`"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        reading(path)
    assert message in raised.value.message
    assert "secret" not in raised.value.message


def test_every_plain_setting_has_a_variable_that_is_read(tmp_path: Path) -> None:
    texts = {"a number": "7", "a list of texts": "state-id-1,state-id-2"}
    special = {"ssh.from": "none", "budget.action": "warn", "max_ttl": "60m", "archive_after": "60m"}
    for path, key in KEYS.items():
        if key.variable is None:
            continue
        text = special.get(".".join(path)) or texts.get(key.kind.expected, "some-text")
        settings = read_settings(tmp_path / "none.toml", is_explicit=False, environ={key.variable: text})
        assert settings.source(*path) == key.variable
        assert settings.config != read_settings(tmp_path / "none.toml", is_explicit=False, environ={}).config


def test_show_says_where_each_value_comes_from(file: Path, operator: Operator) -> None:
    environ = {"GPUCTL_AWS_REGION": "us-west-2", "AZURE_SUBSCRIPTION_ID": "from-the-sdk"}
    ran = operator.run("config", "show", "--config", str(file), "--profile", "prod", "-o", "json", environ=environ)
    shown = {setting["key"]: (setting["value"], setting["source"]) for setting in ran.json["settings"]}
    assert shown["aws.region"] == ("us-west-2", "GPUCTL_AWS_REGION")
    assert shown["max_ttl"] == ("1d", "[profile.prod]")
    assert shown["aws.profile"] == ("prod", "[profile.prod]")
    assert shown["confirm_above_usd"] == (2.5, "config")
    assert shown["ssh.user"] == (None, None)
    assert shown['budget.tag."project=x".monthly_usd'] == (200, "config")
    bare = operator.json("config", "show").json
    shown = {setting["key"]: (setting["value"], setting["source"]) for setting in bare["settings"]}
    assert (shown["user"], shown["max_ttl"]) == (("ana", "login name"), ("2h", "default"))


def test_show_masks_what_could_be_a_secret(operator: Operator) -> None:
    secret = "hunter2-canary"
    environ = {
        "GPUCTL_HOOKS_READY": f"https://user:{secret}@hooks.example.com/{secret}?t={secret}",
        "GPUCTL_HOOKS_ERROR": f"curl -H 'Authorization: {secret}' https://example.com",
    }
    for form in ("json", "table", "csv", "tsv"):
        ran = operator.run("config", "show", "-o", form, environ=environ)
        assert secret not in ran.out + ran.err
        assert "hooks.example.com" in ran.out


def test_path_names_the_file_that_would_be_read(operator: Operator) -> None:
    assert operator.run("config", "path").out == f"{operator.folder}/gpuctl/config.toml\n"
    assert operator.json("config", "path").json["exists"] is False


def test_a_byte_order_mark_before_the_config_is_read_over(operator: Operator) -> None:
    path = operator.folder / "with-bom.toml"
    path.write_bytes(b'\xef\xbb\xbfuser = "ana-with-a-mark"\r\n')
    ran = operator.run("config", "--config", str(path))
    assert (ran.code, "ana-with-a-mark" in ran.out) == (0, True)
