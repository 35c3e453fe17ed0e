"""The one exception that a user's mistake turns into."""


class UserError(Exception):
    """Bad input: the message is one line that names the file, key or value and says what to do.

    Stages and the command line print it without a traceback and exit with code 2.
    """
