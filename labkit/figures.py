"""What the figures and sentences of the book's pages share; `plt.style.use("labkit.figures")` sets how figures look."""

BLUE, ORANGE, GREEN, GREY = "C0", "C1", "C2", "C5"
"""The colours of lines by what they mean: the page's subject, its rival, a third, and what is there to compare with."""


def say(**numbers: object) -> None:
    """Keep numbers or words for the sentences of this page, which name them with hyphens: {glue:text}`two-words`."""
    from myst_nb import glue

    for name, value in numbers.items():
        glue(name.replace("_", "-"), value, display=False)
