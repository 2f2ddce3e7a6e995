"""Stand-ins for programs of the machine that gpuctl is on: a crontab with a memory, a systemctl that takes notes."""

from support.cli import Operator

CRONTAB = """#!/bin/sh
tab="{folder}/tab"
case $1 in
    -l) [ -e "$tab" ] || {{ echo "no crontab for ana" >&2; exit 1; }}; /bin/cat "$tab" ;;
    -) /bin/cat >"$tab" ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"{folder}/asked"
"""
LOGINCTL = "#!/bin/sh\necho no\n"


def having(operator: Operator, **programs: str) -> Operator:
    """The operator on a machine that has these programs and no others."""
    folder = operator.folder / "bin"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(text.format(folder=operator.folder))
        (folder / name).chmod(0o755)
    operator.environ["PATH"] = str(folder)
    return operator
