"""The `$filter` expressions by tag that ARM's listing of groups takes."""

import re
from collections.abc import Sequence

from gpuctl_sandbox.azure.books import Group
from gpuctl_sandbox.azure.wire import Refusal

_BY_TAG = re.compile(r"tagName\s+eq\s+'(?P<name>[^']*)'(\s+and\s+tagValue\s+eq\s+'(?P<value>[^']*)')?")


def matching(expression: str | None, groups: Sequence[Group]) -> list[Group]:
    """Those groups that the filter means. A tag's name is compared without regard to case, its value exactly."""
    if not expression:
        return list(groups)
    wanted = _BY_TAG.fullmatch(expression.strip())
    if wanted is None:
        text = f"Invalid $filter '{expression}' specified in the query string."
        raise Refusal(400, "InvalidFilterInQueryString", text)
    return [
        group
        for group in groups
        for name, value in group.tags.items()
        if name.lower() == wanted["name"].lower() and wanted["value"] in (None, value)
    ]
