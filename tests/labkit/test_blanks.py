"""A cell that shows something says what is missing, and hides no other error."""

import pytest

from labkit.blanks import unless_blank


class Part:
    def forward(self):
        raise NotImplementedError


def test_a_blank_answer_is_named(capsys):
    with unless_blank():
        Part().forward()
    said = capsys.readouterr().out
    assert (
        said
        == "`Part.forward` is not written yet. Write it in its cell above, run that, and then run this cell again.\n"
    )


def test_what_is_written_runs(capsys):
    with unless_blank():
        print("done")
    assert capsys.readouterr().out == "done\n"


def test_a_name_that_an_earlier_cell_makes_is_told(capsys):
    with unless_blank():
        print(chain)  # noqa: F821
    said = capsys.readouterr().out
    assert said == "`chain` is not there yet: an earlier cell makes it. Run the cells above, then this cell again.\n"


def test_other_errors_are_not_hidden():
    def answer():
        return misspelt  # noqa: F821

    with pytest.raises(NameError, match="misspelt"), unless_blank():
        answer()
    with pytest.raises(ValueError, match="a mistake"), unless_blank():
        raise ValueError("a mistake")
    with pytest.raises(NotImplementedError, match="no such operator"), unless_blank():
        raise NotImplementedError("no such operator")
