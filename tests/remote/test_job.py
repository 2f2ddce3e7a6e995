"""A command on the instance, by a real OpenSSH server: started once, followed without loss, found again."""

import os
import signal
from pathlib import Path

import pytest
from support.sshd import Cable, Sshd

from gpuctl.errors import CloudError, CredentialsError, UnreachableError
from gpuctl.remote.access import Access
from gpuctl.remote.job import CommandLostError, RemoteJob
from gpuctl.remote.line import SshConnection

TOKEN = "0123456789abcdef"


class Heard:
    """What a job said, by stream."""

    def __init__(self) -> None:
        self.said = {"O": b"", "E": b""}

    def __call__(self, stream: str, some: bytes) -> None:
        self.said[stream] += some


def keep_on() -> None:
    return None


def ran(line: SshConnection, *command: str, **variables: str) -> tuple[int, bytes, bytes]:
    job, heard = RemoteJob(TOKEN, command, variables), Heard()
    job.start(line)
    code = job.follow(line, heard, keep_on)
    return code, heard.said["O"], heard.said["E"]


def test_a_command_keeps_its_words_its_streams_and_its_code(line: SshConnection) -> None:
    words = ["a b", "$HOME", "`id`", "'", '"', "*", "\\", "", "ü", "new\nline", "--", "-n"]
    code, out, err = ran(line, "bash", "-c", 'printf "%s|" "$@"; echo bad >&2; exit 7', "_", *words)
    assert (code, out.decode(), err) == (7, "".join(f"{word}|" for word in words), b"bad\n")


def test_one_word_is_a_line_for_the_shell(line: SshConnection) -> None:
    assert ran(line, "echo $((6 * 7)) | tr 4 f; exit 3") == (3, b"f2\n", b"")


@pytest.mark.parametrize(
    ("command", "code"), [(["true"], 0), (["no-such-program"], 127), (["/etc"], 126), (["kill -9 $$"], 137)]
)
def test_the_exit_code_is_that_of_a_shell(line: SshConnection, command: list[str], code: int) -> None:
    assert ran(line, *command)[0] == code


def test_bytes_of_every_kind_come_through(line: SshConnection, sshd: Sshd) -> None:
    content = bytes(range(256)) * 4_000 + b"O 5\nC 0\nL\n"
    (sshd.home / "content").write_bytes(content)
    assert ran(line, "cat", "content") == (0, content, b"")


def test_variables_reach_the_command_and_nothing_else(line: SshConnection, sshd: Sshd) -> None:
    secret = "hunter2 'quoted' $HOME \n second line \x01"
    code, out, _ = ran(line, "printenv TOKEN_A; tr '\\0' '\\n' </proc/$$/cmdline", TOKEN_A=secret)
    assert (code, out[: len(secret.encode())]) == (0, secret.encode())
    assert secret.encode() not in out[len(secret.encode()) :]
    left = [path for path in sshd.home.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    # The command printed it itself, and that is kept until the instance ends.
    assert [path.name for path in left] == ["out"]
    assert "hunter2" not in sshd.log


def test_it_is_started_once_however_often_it_is_requested(line: SshConnection, sshd: Sshd) -> None:
    job = RemoteJob(TOKEN, ["echo begun >>begun; sleep 0.3"])
    for _ in range(3):
        job.start(line)
    assert job.follow(line, Heard(), keep_on) == 0
    assert (sshd.home / "begun").read_text() == "begun\n"


def test_it_starts_at_home_with_nothing_to_read_and_is_for_its_user_only(line: SshConnection, sshd: Sshd) -> None:
    assert ran(line, "pwd; cat") == (0, f"{sshd.home}\n".encode(), b"")
    assert (sshd.home / ".gpuctl" / TOKEN).stat().st_mode & 0o77 == 0


def test_a_connection_that_breaks_loses_nothing_and_repeats_nothing(line: SshConnection, cable: Cable) -> None:
    job, heard = RemoteJob(TOKEN, ["seq 1 200000; seq 1 1000 >&2; sleep 0.2; echo end"]), Heard()
    job.start(line)
    cable.cut_after, cable.cuts = 150_000, 4
    breaks = 0
    while True:
        try:
            code = job.follow(line, heard, keep_on)
            break
        except UnreachableError:
            breaks += 1
    lines = "".join(f"{number}\n" for number in range(1, 200_001)) + "end\n"
    assert (code, heard.said["O"] == lines.encode(), breaks) == (0, True, 4)
    assert heard.said["E"] == b"".join(b"%d\n" % number for number in range(1, 1001))


def test_it_goes_on_while_nobody_is_there(line: SshConnection, cable: Cable, sshd: Sshd) -> None:
    job, heard = RemoteJob(TOKEN, ["echo one; until [ -e go ]; do sleep 0.05; done; echo two; exit 5"]), Heard()
    job.start(line)

    def cut_after_the_first_word() -> None:
        if heard.said["O"] and cable.is_whole:
            cable.cut(for_good=True)

    with pytest.raises(UnreachableError):
        job.follow(line, heard, cut_after_the_first_word)
    (sshd.home / "go").touch()
    cable.is_whole = True
    assert job.follow(line, heard, keep_on) == 5
    assert heard.said["O"] == b"one\ntwo\n"


def test_a_script_that_breaks_off_anywhere_starts_nothing(tmp_path: Path) -> None:
    import subprocess

    script = RemoteJob(TOKEN, ["touch", "started"], {"TOKEN_A": "x"}).script()
    call = script.rindex(b"{\n")
    for end in range(call, len(script) - 1):
        subprocess.run(
            ["bash", "-s"], input=script[:end], cwd=tmp_path, capture_output=True, check=False,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_what_was_killed_from_outside_is_lost_and_says_so(line: SshConnection, sshd: Sshd) -> None:
    job = RemoteJob(TOKEN, ["echo here; sleep 600"])
    job.start(line)
    pid = int((sshd.home / ".gpuctl" / TOKEN / "pid").read_text())

    def kill_it() -> None:
        os.killpg(pid, signal.SIGKILL)
        job_is_killed.append(True)

    job_is_killed: list[bool] = []
    heard = Heard()
    with pytest.raises(CommandLostError):
        job.follow(line, heard, lambda: None if job_is_killed or not heard.said["O"] else kill_it())
    assert heard.said["O"] == b"here\n"


def test_killing_it_ends_everything_it_started(line: SshConnection, sshd: Sshd) -> None:
    job = RemoteJob(TOKEN, ["sleep 600 & echo $! >child; wait"])
    job.start(line)
    while not (sshd.home / "child").exists() or not (sshd.home / "child").read_text():
        signal.sigtimedwait([], 0.02)
    job.kill(line)
    job.kill(line)
    with pytest.raises(CommandLostError):
        job.follow(line, Heard(), keep_on)
    assert not Path(f"/proc/{(sshd.home / 'child').read_text().strip()}/cwd").exists()


def test_whoever_ends_the_following_ends_the_connection(line: SshConnection, cable: Cable) -> None:
    job = RemoteJob(TOKEN, ["sleep 600"])
    job.start(line)

    def enough() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.follow(line, Heard(), enough)
    job.kill(line)


def test_the_first_host_key_is_kept_and_another_one_is_refused(line: SshConnection, access: Access, sshd: Sshd) -> None:
    known = access.state_folder() / "known_hosts" / line.target.record_id
    assert ran(line, "true")[0] == 0
    assert known.read_text().startswith(line.target.record_id)
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    before = known.read_text()
    with pytest.raises(CloudError, match="host key"):
        RemoteJob("another", ["true"]).start(line)
    assert known.read_text() == before


def test_an_unknown_key_is_distinguished_from_no_connection(line: SshConnection, sshd: Sshd, cable: Cable) -> None:
    sshd.let_in("")
    with pytest.raises(CredentialsError, match="login as"):
        RemoteJob(TOKEN, ["true"]).start(line)
    cable.cut(for_good=True)
    with pytest.raises(UnreachableError, match="could not connect to"):
        RemoteJob(TOKEN, ["true"]).start(line)
