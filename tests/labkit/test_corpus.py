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


def own_file(folder, paragraphs, name="mine.txt", **how):
    path = folder / name
    path.write_text("\n\n".join(paragraphs), **({"encoding": "utf-8"} | how))
    return path


WORDS = [f"Paragraph {i} holds {'words ' * (i % 60)}and ends." for i in range(3000)]


def test_a_file_of_ones_own_works_in_the_place_of_the_documentation(tmp_path):
    file = own_file(tmp_path, WORDS)
    train, held_out = corpus.text("train", file=file), corpus.text("heldout", file=file)
    assert sorted(train.split("\n\n") + held_out.split("\n\n")) == sorted(WORDS)
    assert 0.04 < len(held_out) / len(train) < 0.06
    documents = corpus.documents(file)
    assert list(documents)[:2] == ["mine.txt/1", "mine.txt/2"]
    assert "\n\n".join(documents.values()) == "\n\n".join(WORDS)
    assert all(4000 <= len(body) < 5000 for body in list(documents.values())[:-1])
    assert held_out.startswith(documents["mine.txt/4"] + "\n\n" + documents["mine.txt/24"])
    assert corpus.text("heldout", 100, file=str(file)) == held_out[:100]


def test_more_text_at_the_end_moves_nothing_between_the_splits(tmp_path):
    short, long = own_file(tmp_path, WORDS[:2000], "short.txt"), own_file(tmp_path, WORDS, "long.txt")
    for split in ("train", "heldout"):
        # The last document may have been cut short by the end of the file.
        assert corpus.text(split, file=long).startswith(corpus.text(split, file=short)[:-4000])


def test_a_paragraph_that_a_file_repeats_is_read_once(tmp_path):
    file = own_file(tmp_path, WORDS + [f"  {paragraph.replace(' ', '  ')}" for paragraph in WORDS])
    twice = corpus.documents(file)
    assert twice == corpus.documents(own_file(tmp_path, WORDS))


@pytest.mark.parametrize("paragraph_bytes", [10, 999, 1001, 3999, 4001, 30_000])
def test_the_shortest_file_has_both_splits(tmp_path, paragraph_bytes):
    digits = "".join(map(str, range(9000)))
    starts = range(0, 20_000 + paragraph_bytes, paragraph_bytes)
    file = own_file(tmp_path, [digits[start : start + paragraph_bytes] for start in starts])
    train, held_out = corpus.text("train", file=file), corpus.text("heldout", file=file)
    assert len(held_out) >= 1000 and len(train) > len(held_out)


@pytest.mark.parametrize("between", ["\n", " ", ""])
def test_a_text_without_blank_lines_is_cut_where_it_hurts_least(tmp_path, between):
    sentence = "十里不同風，百里不同俗。" if not between else "One sentence follows the next."
    file = own_file(tmp_path, [between.join(f"{sentence}{i}" for i in range(3000))])
    pieces = [piece for body in corpus.documents(file).values() for piece in body.split("\n\n")]
    assert between.join(piece.strip() for piece in pieces) == file.read_text(encoding="utf-8")
    assert all(3900 < len(piece.encode()) <= 4000 for piece in pieces[:-1])


def test_line_ends_marks_and_seemingly_blank_lines_of_other_editors_are_read(tmp_path):
    plain = own_file(tmp_path, WORDS)
    odd = tmp_path / "odd" / "mine.txt"
    odd.parent.mkdir()
    odd.write_bytes(b"\xef\xbb\xbf" + " \t\r\n".join(f"{p}\r\n" for p in WORDS).encode())
    assert corpus.documents(odd) == corpus.documents(plain)


def test_an_indented_first_line_stays_indented(tmp_path):
    file = own_file(tmp_path, [f"    {i} is indented\n  and goes on" for i in range(2000)])
    assert "\n\n    7 is indented\n  and goes on\n\n" in corpus.text("train", file=file)


def test_a_changed_file_is_read_again(tmp_path):
    file = own_file(tmp_path, WORDS)
    assert corpus.text("train", file=file).startswith("Paragraph 0")
    own_file(tmp_path, ["A new beginning.", *WORDS])
    assert corpus.text("train", file=file).startswith("A new beginning.")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty: put text in it"),
        (b" \n\n \t", "is empty: put text in it"),
        ("naïve ".encode("latin-1") * 9999, "is no plain text in UTF-8 \\(see byte 2\\): save it as plain text"),
        ("text ".encode("utf-16") * 9999, "is no plain text in UTF-8"),
        (b"too short", "holds 9 bytes of text.*too short.*at least 20,000 bytes"),
        (b"again and again\n\n" * 9999, "holds 15 bytes of text, repeated paragraphs counted once"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, content, says):
    file = tmp_path / "mine.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"mine.txt {says}"):
        corpus.text("train", file=file)
    with pytest.raises(ValueError, match=f"mine.txt {says}"):
        corpus.documents(file)


def test_a_missing_file_and_a_folder_are_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"there is no file {tmp_path}/mine.txt: give the path of a text file"):
        corpus.text("train", file="mine.txt")
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\): give the path of a text file"):
        corpus.text("train", file=tmp_path)
