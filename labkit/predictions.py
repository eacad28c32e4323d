"""Predictions: what a student expected, beside what was measured. Recorded in the notebook, never graded."""

from numbers import Number
from typing import Any


def compare_prediction(what: str, predicted: Any, actual: Any, *, unit: str = "") -> None:
    """Print a prediction, the measured value and the difference; a blank prediction (None) is fine."""
    if getattr(actual, "ndim", None) == 0:  # a tensor or an array with one number in it
        actual = actual.item()
    if predicted is None:
        print(f"{what}: {_shown(actual, unit)} (you left your prediction blank)")
        return
    line = f"{what}: you predicted {_shown(predicted, unit)}, it is {_shown(actual, unit)}"
    if _is_number(predicted) and _is_number(actual):
        difference = actual - predicted
        if not difference:
            line += ": exactly right"
        elif abs(difference) <= abs(actual) / 100:
            line += ": right to within 1%"
        else:
            line += f": {_shown(abs(difference))} {'more' if difference > 0 else 'less'} than you thought"
    elif predicted == actual:
        line += ": exactly right"
    elif isinstance(predicted, str) and _is_number(actual):
        line += " (write a number, without quotes, to have them compared)"
    print(line)


def _is_number(value: Any) -> bool:
    return isinstance(value, Number) and not isinstance(value, bool)


def _shown(value: Any, unit: str = "") -> str:
    text = f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
    return f"{text} {unit}".strip()
