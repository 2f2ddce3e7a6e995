"""Stand-ins for programs of the instance that gpuctl is on: a crontab with a memory, a systemctl that takes notes."""

from support.cli import Operator

CRONTAB = """#!/bin/sh
tab="{folder}/tab"
case $1 in
    -l) [ -e "$tab" ] || {{ echo "no crontab for ana" >&2; exit 1; }}; /bin/cat "$tab" ;;
    -) /bin/cat >"$tab" ;;
esac
"""
# BusyBox (Alpine, OpenWrt) has its own words for a user without a crontab.
BUSYBOX_CRONTAB = CRONTAB.replace("no crontab for ana", "crontab: can't open 'ana': No such file or directory")
# BusyBox again, where it is not setuid root: containers and pods (docker-alpine#121).
CRONTAB_WITHOUT_SUID = "#!/bin/sh\necho 'crontab: must be suid to work properly' >&2\nexit 1\n"
# On a Mac this opens a dialog, so that it must not run: it leaves a trace for the test.
CRONTAB_OF_A_MAC = '#!/bin/sh\necho "$*" >>"{folder}/crontab-was-run"\n'
# launchctl with a file for each loaded service; the codes are those of tests/services/scheduling/test_launchd.py.
LAUNCHCTL = """#!/bin/sh
/bin/mkdir -p "{folder}/loaded"
table() {{ echo "{folder}/loaded/$(echo "$1" | /usr/bin/tr / _)"; }}
case $1 in
    print) case $2 in */*/*) [ -e "$(table "$2")" ] || exit 113 ;; esac ;;
    bootout) [ -e "$(table "$2")" ] || exit 3; /bin/rm "$(table "$2")" ;;
    bootstrap) service="$2/$(/usr/bin/basename "$3" .plist)"
        [ -e "$(table "$service")" ] && exit 5
        : >"$(table "$service")" ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"{folder}/asked"
"""
LOGINCTL = "#!/bin/sh\necho no\n"


def with_programs(operator: Operator, **programs: str) -> Operator:
    """The operator on an instance that has these programs and no others."""
    folder = operator.folder / "bin"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(text.format(folder=operator.folder))
        (folder / name).chmod(0o755)
    operator.environ["PATH"] = str(folder)
    return operator
