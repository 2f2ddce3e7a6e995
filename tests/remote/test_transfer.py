"""Files to an instance and back, by a real OpenSSH server."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from support.sshd import Cable, Sshd

from gpuctl.errors import CloudError, UnreachableError, UsageError
from gpuctl.remote.line import SshConnection
from gpuctl.remote.transfer import Transfer, check_upload, download, transfer, upload

ODD = "an odd $(name)`id` 'x'; *"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "one.txt").write_text("one")
    (folder / "data" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "data" / "run.sh").chmod(0o755)
    (folder / ODD).write_bytes(os.urandom(300_000))
    return folder


@pytest.mark.parametrize(
    ("target", "arrives"),
    [("work", "work/deep/one.txt"), ("new/work", "new/work/deep/one.txt"), ("there/", "there/data/deep/one.txt"),
     ("~/work", "work/deep/one.txt"), ("~", "data/deep/one.txt"), ("existing", "existing/data/deep/one.txt")],
)  # fmt: skip
def test_a_folder_arrives_under_the_name_that_was_given(
    line: SshConnection, sshd: Sshd, here: Path, target: str, arrives: str
) -> None:
    (sshd.home / "existing").mkdir()
    upload(line, Transfer(str(here / "data"), target))
    assert (sshd.home / arrives).read_text() == "one"
    assert os.access((sshd.home / arrives).parent.parent / "run.sh", os.X_OK)


def test_a_file_with_an_odd_name_comes_there_and_back_as_it_was(line: SshConnection, sshd: Sshd, here: Path) -> None:
    upload(line, Transfer(str(here / ODD), f"odd/{ODD}"))
    download(line, Transfer(f"odd/{ODD}", str(here / "back" / "again")))
    assert (here / "back" / "again").read_bytes() == (here / ODD).read_bytes()
    download(line, Transfer(f"odd/{ODD}", str(here / "back")))
    assert (here / "back" / ODD).read_bytes() == (here / ODD).read_bytes()
    assert sorted(path.name for path in (here / "back").iterdir()) == sorted([ODD, "again"])


def test_a_folder_comes_back(line: SshConnection, sshd: Sshd, here: Path) -> None:
    (sshd.home / "out").mkdir()
    (sshd.home / "out" / "model").write_text("weights")
    download(line, Transfer("out", str(here / "results")))
    assert (here / "results" / "model").read_text() == "weights"


def test_a_missing_file_is_an_error_that_names_it(line: SshConnection, here: Path) -> None:
    with pytest.raises(CloudError, match="was not downloaded"):
        download(line, Transfer("nothing", str(here / "results")))
    assert not (here / "results").exists()
    with pytest.raises(CloudError, match="was not uploaded"):
        upload(line, Transfer(str(here / "data"), "/proc/nowhere/data"))
    with pytest.raises(UsageError, match="does not exist"):
        check_upload(Transfer(str(here / "missing"), "x"))


def test_a_broken_connection_is_distinguished_and_a_repeated_transfer_is_complete(
    line: SshConnection, sshd: Sshd, cable: Cable, here: Path
) -> None:
    (sshd.home / "big").write_bytes(os.urandom(2_000_000))
    cable.cut_after, cable.cuts = 500_000, 1
    with pytest.raises(UnreachableError):
        download(line, Transfer("big", str(here / "big")))
    download(line, Transfer("big", str(here / "big")))
    assert (here / "big").read_bytes() == (sshd.home / "big").read_bytes()


def test_a_hostile_instance_cannot_write_outside_of_the_folder(line: SshConnection, sshd: Sshd, here: Path) -> None:
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as tar:
        for name in ("../escaped", "/tmp/escaped-by-gpuctl-test"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
    (sshd.home / "evil.tar").write_bytes(evil.getvalue())
    (sshd.folder / "enter").write_text(f"#!/bin/bash\nexec cat {sshd.home}/evil.tar\n")
    with pytest.raises(CloudError):
        download(line, Transfer("out", f"{here / 'into'}/"))
    assert not (here / "escaped").exists() and not Path("/tmp/escaped-by-gpuctl-test").exists()


@pytest.mark.parametrize("text", ["", "x", ":x", "x:", "a\n:b"])
def test_a_transfer_is_a_source_and_a_target(text: str) -> None:
    with pytest.raises(UsageError, match="SRC:DST"):
        transfer(text, option="--upload")
