"""A small torch assignment for measuring the grader: a course of its own, in the mould of the real ones."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent
