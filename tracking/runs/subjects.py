"""What a run may be called: its subject names files."""

FIT_SUBJECTS = "must be a name without slashes and control characters: it names files"


def is_fit_subject(name: str) -> bool:
    """Whether the name can be one of a file, in any folder, and of nothing else."""
    return name.isprintable() and not set(name) & {"/", "\\"} and name not in ("", ".", "..")
