"""The test set that a run is of, where a job has several: the model `m` on the set `photos` is called `m+photos`."""

MARK = "+"  # neither a model's own name nor a test set's holds it; DVC, trackers and file systems take it


def on(name: str, test_set: str) -> str:
    """What `name` (a model, a recipe, a pair) is called on a test set."""
    return f"{name}{MARK}{test_set}"


def test_set_of(name: str) -> str | None:
    """The test set in a name; None where there is only one, which has no name."""
    return name.rpartition(MARK)[2] if MARK in name else None


def without_test_set(name: str) -> str:
    """The name of the model, recipe or pair alone."""
    return name.partition(MARK)[0]
