"""Marks in arrays of token ids; see `weighbridge.texts.requests`."""

ENDED = -1  # where a text has no more tokens
SCORED = 1 << 30  # the bit of a token whose log-likelihood is asked for
HEAD = 4  # numbers before a row's tokens
BEST = 0  # in place of a divisor: the likeliest tokens at the places of the row before
