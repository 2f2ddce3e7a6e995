"""The key pair: made once whoever comes first, for its owner's eyes only, and never anything but a key."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.remote.keys import LONGEST_KEY, named_key, own_key

needs_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIJ7B5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m"


@needs_keygen
def test_a_pair_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ssh"
    first, second = own_key(folder), own_key(folder)
    assert first == second
    assert first.public.startswith("ssh-ed25519 ")
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder.parent)] == ["0o700", "0o700"]
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {
        "id_ed25519": "0o600",
        "id_ed25519.pub": "0o600",
    }


@needs_keygen
def test_eight_processes_at_once_get_the_same_pair(tmp_path: Path) -> None:
    asking = "import sys, pathlib, gpuctl.remote.keys as k; print(k.own_key(pathlib.Path(sys.argv[1])).public)"
    command = [sys.executable, "-c", asking, str(tmp_path)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}) for _ in range(8)
    ]
    fields = {popen.communicate(timeout=60)[0] for popen in running}
    assert fields == {f"{own_key(tmp_path).public}\n".encode()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


@needs_keygen
def test_a_key_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    key = own_key(tmp_path)
    key.identity.chmod(0o644)
    own_key(tmp_path)
    assert key.identity.stat().st_mode & 0o777 == 0o600


@needs_keygen
def test_the_public_line_that_was_lost_or_damaged_is_taken_from_the_private_key(tmp_path: Path) -> None:
    key = own_key(tmp_path)
    (tmp_path / "id_ed25519.pub").write_text("ssh-ed25519 AAAA\n  - injected: yes\n")
    assert own_key(tmp_path) == key
    (tmp_path / "id_ed25519.pub").unlink()
    assert own_key(tmp_path) == key


@needs_keygen
def test_a_file_that_is_no_key_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text("not a key")
    with pytest.raises(UsageError, match="is not an SSH key"):
        own_key(tmp_path)
    assert (tmp_path / "id_ed25519").read_text() == "not a key"


def test_a_place_that_takes_no_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnusableError, match="cannot be used"):
        own_key(tmp_path / "file" / "folder")


def test_a_person_s_key_is_read_by_either_of_its_names(tmp_path: Path) -> None:
    private, public = tmp_path / "id", tmp_path / "id.pub"
    public.write_text(f"ssh-ed25519 {BLOB} ana@laptop\n")
    # An agent may hold the private key: then ssh finds it by the public one.
    assert named_key(private) == named_key(public)
    assert (named_key(public).public, named_key(public).identity) == (f"ssh-ed25519 {BLOB}", public)
    private.touch()
    assert named_key(public).identity == private


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a key",
        f"ssh-ed25519 {BLOB}\nssh-ed25519 {BLOB}",
        f"ssh-ed25519 {BLOB}\n  - 'runcmd: [evil]'",
        f'command="evil" ssh-ed25519 {BLOB}',
        f"ssh-ed25519 {BLOB} ana\x1b[2J",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        f"ssh-dss {BLOB}",
        f"ssh-ed25519 {BLOB * 100}",
    ],
)
def test_what_is_not_exactly_one_public_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "id.pub").write_text(text)
    with pytest.raises(UsageError, match="is not a public SSH key"):
        named_key(tmp_path / "id.pub")


def test_a_key_that_is_not_there_says_how_to_make_its_public_part(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        named_key(tmp_path / "id")
    assert "ssh-keygen -y -f" in (refused.value.hint or "")


def test_a_key_that_does_not_fit_into_user_data_is_refused_with_its_length(tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(f"ssh-rsa {'A' * (LONGEST_KEY - 7)}")
    with pytest.raises(UsageError, match="has 3001 characters, and at most 3000 fit into the user data"):
        named_key(tmp_path / "id.pub")
    (tmp_path / "id.pub").write_text(f"ssh-rsa {'A' * (LONGEST_KEY - 8)} ana@laptop")
    assert len(named_key(tmp_path / "id.pub").public) == LONGEST_KEY
