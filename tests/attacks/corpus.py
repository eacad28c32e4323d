"""All attacks, and the honest submissions that stand between them."""

from tests.attacks import POINTS, answering, calling, forging, leaving, malformed, reading, resources, showing
from tests.attacks.attack import SOLVED, WRONG, Attack, filled, full, saves

ATTACKS: list[Attack] = [
    attack
    for module in (malformed, forging, answering, calling, leaving, reading, showing, resources)
    for attack in module.ATTACKS
]
# The one that looks for what others left comes after all of them.
ATTACKS.sort(key=lambda attack: attack.name == "finds-what-was-left")

HONEST: list[Attack] = [
    Attack("honest-solved", "is right", saves(filled(SOLVED)), POINTS),
    Attack(
        "honest-half",
        "has two answers right",
        saves(filled({**WRONG, "softmax": SOLVED["softmax"], "attend": SOLVED["attend"]})),
        full("softmax", "attend"),
    ),
    Attack("honest-blank", "is blank", saves(filled({})), {}),
]
