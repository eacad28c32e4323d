"""The texts that every notebook is handed."""

import subprocess
import sys

import pytest

from labkit import corpus


def paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def test_no_paragraph_stands_in_two_documents():
    owner: dict[str, str] = {}
    for name, body in corpus.documents().items():
        assert body.strip(), f"{name} is empty"
        for paragraph in paragraphs(body):
            assert owner.setdefault(paragraph, name) == name, f"{paragraph!r} is in {owner[paragraph]} and {name}"
    assert len(owner) > 10_000


def test_both_kinds_of_document_are_there():
    documents = corpus.documents()
    assert list(documents) == sorted(documents, key=lambda name: (name.startswith("docstrings/"), name))
    assert documents["topics/lambda"].startswith("Lambdas")
    assert "JSON (JavaScript Object Notation)" in documents["docstrings/json.__init__"]


def test_nothing_installed_and_no_test_is_among_the_documents():
    names = list(corpus.documents())
    assert not [name for name in names if "site-packages" in name or ".test." in name or name.endswith("torch")]


def test_splits_share_nothing_and_make_up_the_whole():
    train, held_out = set(paragraphs(corpus.text("train"))), set(paragraphs(corpus.text("heldout")))
    assert not train & held_out
    every = {paragraph for body in corpus.documents().values() for paragraph in paragraphs(body)}
    assert train | held_out == every
    share = len(corpus.text("heldout").encode()) / len(corpus.text("train").encode())
    assert 0.03 < share < 0.15


def test_a_cut_text_begins_the_whole_one_and_fits():
    assert corpus.text("train").startswith(corpus.text("train", 50_000))
    assert len(corpus.text("train", 50_000).encode()) == 50_000
    assert corpus.text("heldout", 0) == ""
    assert corpus.text("heldout", 10**9) == corpus.text("heldout")


def test_a_cut_never_falls_inside_a_character():
    assert corpus._join(["naïve", "é"], 3) == "na"
    assert corpus._join(["naïve", "é"], 4) == "naï"
    assert corpus._join(["a", "b"], None) == "a\n\nb"


def test_source_code_is_python_and_follows_the_split_of_its_docstrings():
    source = corpus.source_code(200_000)
    assert len(source.encode()) == 200_000 and "def " in source
    train = {name for name, _ in corpus._modules() if corpus.split_of(name) == "train"}
    held_out = {name for name, _ in corpus._modules() if corpus.split_of(name) == "heldout"}
    assert train and held_out and not train & held_out
    assert corpus.source_code(50_000, "heldout") != corpus.source_code(50_000)


def test_the_split_comes_from_the_name_alone():
    assert corpus.split_of("topics/types") == "heldout"
    assert corpus.split_of("topics/lambda") == "train"


@pytest.mark.parametrize("split", ["test", "", None])
def test_an_unknown_split_is_refused(split):
    with pytest.raises(ValueError, match=r'"train" or "heldout"'):
        corpus.text(split)
    with pytest.raises(ValueError, match=r'"train" or "heldout"'):
        corpus.source_code(10, split)


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="negative"):
        corpus.text("train", -1)


def test_another_process_reads_the_same_text():
    show = "import hashlib; from labkit import corpus; print(hashlib.sha256(corpus.text('{}').encode()).hexdigest())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", show.format("heldout")],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
