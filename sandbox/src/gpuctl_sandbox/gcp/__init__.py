"""An emulated Google Compute Engine: its v1 REST API, checked against Google's discovery document."""

from gpuctl_sandbox.gcp.cloud import ComputeCloud

__all__ = ["ComputeCloud"]
