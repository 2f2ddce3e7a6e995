"""Texts that look like somebody's key: they do not belong into a record, a tag or a list that others can read."""

import re

# What the makers of these keys say that they look like. Random letters alone are no mark: ids and digests are, too.
_MARKS = {
    "an AWS key": r"(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])",
    "a GitHub token": r"(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    "a GitLab token": r"glpat-[A-Za-z0-9_-]{16,}",
    "a Hugging Face token": r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{16,}",
    "an API key": r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "a Google key": r"AIza[A-Za-z0-9_-]{30,}",
    "an npm token": r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{30,}",
    "a signed token": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a storage key": r"(AccountKey|SharedAccessSignature)=",
    "a password": r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@",
}
_ANY = {what: re.compile(mark) for what, mark in _MARKS.items()}


def secret_in(text: str) -> str | None:
    """What kind of secret the text seems to hold, such as `a GitHub token`; None if none is seen in it."""
    return next((what for what, mark in _ANY.items() if mark.search(text)), None)
