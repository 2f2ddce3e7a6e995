"""An instance on loopback that ssh can really get onto."""

from pathlib import Path

import pytest
from support.instances import a_ready_instance
from support.sshd import Cable, Sshd

from gpuctl.remote.access import Access
from gpuctl.remote.line import SshConnection


@pytest.fixture
def access(sshd: Sshd, cable: Cable, tmp_path: Path) -> Access:
    """A key that gets in, and the way to the server."""
    way = ("HostName=127.0.0.1", f"Port={cable.port}")
    actual = Access(tmp_path / "ssh", lambda: tmp_path / "states", user=sshd.user, options=way)
    sshd.let_in(actual.key().public)
    return actual


@pytest.fixture
def line(access: Access) -> SshConnection:
    return SshConnection(access.target(a_ready_instance(public_ip="203.0.113.7")))
