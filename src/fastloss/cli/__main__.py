"""`python -m fastloss.cli`: the `fastloss` script for an environment whose scripts are not on the path."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
