"""Where a Debian cannot be booted, `make boot` and `make torture` say why and go on."""

import os
from pathlib import Path

import pytest
from boot.cases import CASES, as_script
from boot.system import missing
from support.guarded import Stage, scripts_run

from gpuctl.providers.aws.guard import user_data


def test_what_is_missing_is_named_with_the_packages_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    reason = missing() or ""
    assert reason.startswith("ip, mmdebstrap, systemd-nspawn, unshare is not installed: apt-get install ")
    assert "systemd-container" in reason


def test_without_root_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing() == "needs root"


def test_the_rule_broken_by_hand_leaves_the_guard_to_the_last_stage() -> None:
    text = f"#cloud-boothook\n{user_data(CASES[0].max_ttl)}"
    assert len(scripts_run(text, Stage.NETWORK)) == 1
    assert scripts_run(as_script(text), Stage.MULTI_USER) == []
