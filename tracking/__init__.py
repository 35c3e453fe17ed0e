"""Runs, environments, audits and trackers: everything that needs no machine-learning framework."""
