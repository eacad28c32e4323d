"""`python -m solutions.checkpoints`: train the shipped checkpoints again."""

import sys

from solutions.checkpoints.rebuild import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
