"""Instances of the emulated clouds that can be logged in to, and the programs of OpenSSH that do so."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from support.clouds import LoopbackAws

from gpuctl_sandbox.guests.instances import Instances

CLOUD_CONFIG = "#cloud-config\nssh_authorized_keys:\n  - {key}\n"


class Guests:
    """Two key pairs, the owner's and somebody else's, and the instances that the owner starts."""

    def __init__(self, cloud: LoopbackAws, instances: Instances, folder: Path) -> None:
        self.cloud, self.instances, self.folder = cloud, instances, folder
        self.owner, self.stranger = self._pair("owner"), self._pair("stranger")
        (folder / "login_keys").write_text(f"{self.public_key}\n")

    def launch(self, **parameters: Any) -> str:
        """Start a g4dn.xlarge on AWS with the owner's key and port 22 open to this computer; returns its ID."""
        group = self.cloud.client("ec2").create_security_group(GroupName="ssh", Description="ssh")["GroupId"]
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.1/32"}]}
        self.cloud.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        settings = {"InstanceType": "g4dn.xlarge", "SecurityGroupIds": [group], "UserData": self.user_data}
        return self.cloud.launch(**{**settings, **parameters})

    @property
    def user_data(self) -> str:
        """User data with the owner's key; boto3 encodes it."""
        return CLOUD_CONFIG.format(key=self.public_key)

    @property
    def public_key(self) -> str:
        return " ".join(self.owner.with_suffix(".pub").read_text().split()[:2])

    @property
    def ports(self) -> dict[str, int]:
        """The ports by address, as they are published."""
        ports: dict[str, int] = json.loads((self.folder / "network.json").read_text())["ports"]
        return ports

    @property
    def port(self) -> int:
        """The port of the one instance that runs."""
        (port,) = self.ports.values()
        return port

    def options(self, key: Path | None = None, *further: str, port: int | None = None) -> list[str]:
        """What ssh and scp are given to connect to the one instance that runs."""
        known = f'UserKnownHostsFile="{self.folder / "known_hosts"}"'
        settings = [known, "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes", "BatchMode=yes", "LogLevel=ERROR"]
        settings += [f"Port={port or self.port}", f'IdentityFile="{key or self.owner}"', "ConnectTimeout=20", *further]
        return ["-F", "none", *(word for setting in settings for word in ("-o", setting))]

    def ssh(
        self, *words: str, user: str = "ubuntu", key: Path | None = None, options: tuple[str, ...] = (), text: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """The OpenSSH client, to its end."""
        argv = ["ssh", *self.options(key, *options), f"{user}@127.0.0.1", *words]
        return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)

    def _pair(self, name: str) -> Path:
        path = self.folder.parent / name
        program = shutil.which("ssh-keygen")
        assert program is not None
        subprocess.run([program, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path
