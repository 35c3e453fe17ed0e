"""Two or many runs compared: what differs, what each difference can change, statistics, published claims. Pure functions
of runs."""
