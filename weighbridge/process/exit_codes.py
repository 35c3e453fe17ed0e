"""What the exit codes of commands and stages mean. No other place has numbers for them."""

FINDING = 1  # the answer is one to act on
MISTAKE = 2  # the input cannot be used; one line on stderr says why
UNDECIDED = 3  # the question has no answer here
BUG = 70  # an error of ours, with its traceback; EX_SOFTWARE of sysexits.h
INTERRUPTED = 130
CLOSED_PIPE = 141  # what a shell reports of a program whose reader left

WORDS = """exit codes:
  0    done, and nothing to act on
  1    a finding: `audit --strict` sees another result, `diff --strict` another environment, `explain` or `reproduce`
       cannot bring a run back, `verify` finds a fault, `sync` leaves something out, `gate` is closed, `doctor` misses something
  2    a mistake in what was given: one line on stderr says which
  3    could not be decided: `explain` cannot run here what differs, or proves no cause,
       `verify` cannot run what it was to run, or `gate` lacks what it needs
  70   an error of Weighbridge, with its traceback
  130  interrupted
"""
