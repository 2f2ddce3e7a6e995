"""What a cloud says, fit to stand in a sentence of ours."""

from gpuctl.domain.wording import one_line

__all__ = ["one_line"]
