"""What modes and freezing change: the stage, the situations it tries, heads over frozen networks, and the forecast of
their drop."""
