"""`python -m fastloss.cli` runs the `fastloss` script if the environment's scripts are not on the path."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
