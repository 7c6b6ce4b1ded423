"""Settings of the whole suite: the same examples on every run, so that a failure is one."""

import pytest
from hypothesis import HealthCheck, settings

from emul.plans import read_plan

settings.register_profile(
    "emul",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("emul")


@pytest.fixture
def file(tmp_path):
    """A function that reads the plan in a text of MSCCL XML."""

    def read(text):
        path = tmp_path / "plan.xml"
        path.write_text(text)
        return read_plan(path)

    return read
