"""A table of published accuracies: `claims` in `params.yaml`."""

from weighbridge.params.section import Section


class Claims(Section):
    """Published accuracies: the shipped table, or one with the same columns that is added to it."""

    file: str = "tracking/audit/claims.csv"
