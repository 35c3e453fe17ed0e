"""The page for people: the stage, and its template."""
