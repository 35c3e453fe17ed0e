"""`python -m weighbridge` is the `weighbridge` command."""

import sys

from weighbridge.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
