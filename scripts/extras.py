"""The extras of the distribution, for hatchling: from a clone, `sandbox` installs the emulated clouds of that clone.

They are a distribution of their own. A release requires it by name, in the version of the release (GPUCTL_RELEASE=1).
The name alone must not be asked of an index before it is published there: a stranger could own it.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Extras(MetadataHookInterface):
    """Adds the emulated clouds to the extras that pyproject.toml lists for this hook."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `optional-dependencies`."""
        folder = Path(self.root) / "sandbox"
        is_clone = (folder / "pyproject.toml").exists() and not os.environ.get("GPUCTL_RELEASE")
        source = f" @ {folder.as_uri()}" if is_clone else f"=={metadata['version']}"
        extras: dict[str, list[str]] = {name: list(lines) for name, lines in self.config["extras"].items()}
        extras["sandbox"].append(f"gpuctl-cloud-sandbox{source}")
        metadata["optional-dependencies"] = extras
