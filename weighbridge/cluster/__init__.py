"""Stages on the nodes of a Ray cluster: what is sent there, what runs there, what comes back.

DVC stays where it is: it decides what runs and records the results. Nothing here is imported while `executor` is `local`.
"""
