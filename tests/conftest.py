"""Settings of the whole suite: the same examples on every run, so that a failure is one."""

import pytest
from hypothesis import HealthCheck, settings
from nightly import EVERY, fewer, kept

from emul.plans import read_plan

settings.register_profile(
    "emul",
    derandomize=True,
    deadline=None,
    max_examples=fewer(100),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("emul")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave cases of large tables to .ci/nightly (after -k and -m, which may leave few of them)."""
    if not EVERY:
        run = kept(items)
        left = {item.nodeid for item in items} - {item.nodeid for item in run}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left])
        items[:] = run


@pytest.fixture
def file(tmp_path):
    """A function that reads the plan in a text of MSCCL XML."""

    def read(text):
        path = tmp_path / "plan.xml"
        path.write_text(text)
        return read_plan(path)

    return read
