"""Texts of a cloud or of this computer, made fit for a sentence of ours."""

from gpuctl.domain.wording import one_line

__all__ = ["local_problem", "one_line"]


def local_problem(error: Exception) -> str:
    """Why something on this computer could not be used: the file or program, and the system's own words."""
    if isinstance(error, EOFError):
        return "no code or password was entered"
    if isinstance(error, OSError) and error.strerror:
        return f"`{error.filename}`: {error.strerror}" if error.filename else error.strerror
    return one_line(str(error)) or type(error).__name__
