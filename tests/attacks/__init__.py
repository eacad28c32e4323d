"""Submissions that try to get points they did not earn, to break the batch, or to reach what is not theirs."""

from pathlib import Path

import solutions

ROOT = Path(__file__).parent
# An exercise takes earlier ones from `solutions.<topic>`, which for this topic lies here.
solutions.__path__.append(str(ROOT / "solutions"))

POINTS = {"softmax": 3, "distance": 3, "scale": 3, "attend": 3, "integration": 2}
