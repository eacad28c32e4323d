"""Build the notebook that nbgrader reads, and the one that students get, from an assignment's source.

`course/assignments/<name>.py` is a jupytext percent script and an ordinary pytest module (`source` reads it). Its
exercise and given cells import from `solutions/<name>.py`; each such import is replaced by the text of the definition
(`definitions` cuts it out, `inline` puts it in). The result, `course/source/<name>/<name>.ipynb`, holds the solutions
between nbgrader's marks (`assembler`); nbgrader's own release step takes them out, and the students' notebook goes to
`exercises/<name>/<name>.ipynb` (`release`).

Tests that nobody outside may see lie in `course/private/<name>.py`, which git ignores: test cells in the same format,
with names that end in `_hidden`. They are put after the other tests of their exercise in `course/source/`, their points
on top of the header's, and never into `exercises/`.

Positions come from `ast` and `tokenize` and text is copied line by line, so that what a student sees is what the
author wrote. Nothing here imports `solutions`: an assignment is read, never run.
"""
