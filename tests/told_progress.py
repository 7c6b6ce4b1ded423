"""The progress that a command tells, without a terminal."""


def told_progress(module, monkeypatch):
    """Return a list that gets each task and its doing, as ``module`` tells them."""
    told = []

    class Shown:
        def __init__(self, task):
            self.task = task

        def __enter__(self):
            return lambda doing: told.append(f"{self.task}: {doing}")

        def __exit__(self, *_):
            return False

    monkeypatch.setattr(module, "progress", Shown)
    return told
