"""``python -m mmfa``: the same as ``mmfa``."""

import sys

from mmfa.cli import main

if __name__ == "__main__":
    sys.exit(main())
