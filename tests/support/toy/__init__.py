"""A small topic laid out like the course's own, for the tests of the mould."""

from pathlib import Path

import solutions

ROOT = Path(__file__).parent
# An exercise takes earlier ones from `solutions.<topic>`, which for this topic lies here.
solutions.__path__.append(str(ROOT / "solutions"))
