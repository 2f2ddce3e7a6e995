"""Jobs of every kind, for the tests that read back what a scheduler was given."""

from datetime import timedelta

from hypothesis import strategies as some

from gpuctl.services.scheduling.job import ReaperJob

WORDS = some.text(some.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20)
JOBS = some.builds(
    ReaperJob,
    some.just("0123abcd"),
    some.sampled_from([1, 5, 30, 60]).map(lambda minutes: timedelta(minutes=minutes)),
    some.lists(WORDS.filter(str.isprintable), max_size=4).map(lambda words: ("/opt/gpuctl", "reap", *words)),
    some.dictionaries(some.sampled_from(["AWS_PROFILE", "A1"]), WORDS.filter(str.isprintable)),
)
