"""AWS on loopback: moto behind a thin layer that supplies what moto lacks and a correct client relies on."""

from gpuctl_sandbox.aws.cloud import AwsCloud

__all__ = ["AwsCloud"]
