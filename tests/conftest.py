"""Settings of the whole suite: the same examples on every run, so that a failure is one."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "emul",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("emul")
