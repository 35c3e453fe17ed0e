"""Runs: what is recorded, where it is kept, how two are compared and explained. No machine-learning framework in here."""
