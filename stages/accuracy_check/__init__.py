"""Accuracy held against the claim: the stage, and whether one renaming of the classes would mend it."""
