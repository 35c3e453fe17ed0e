"""Finding the run that a person means: a file, a name, an id, a tracker's address, a git revision."""
