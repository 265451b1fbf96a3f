import pytest

from arena.errors import BadInput, BadRow
from arena.services.tabular import read_rows


def rows(file):
    return list(read_rows(file))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_each_format_gives_the_same_rows(write, ending):
    file = write(f"file.{ending}", [{"a": "x", "b": "ü\n1"}, {"a": "y", "b": "2"}])

    assert [record for _, record in rows(file)] == [{"a": "x", "b": "ü\n1"}, {"a": "y", "b": "2"}]


def test_csv_lines_are_counted_as_an_editor_shows_them(write):
    file = write("file.csv", [{"a": "one\ntwo", "b": "1"}, {"a": "x", "b": "2"}])

    assert [line for line, _ in rows(file)] == [2, 4]


def test_blank_lines_and_a_byte_order_mark_mean_nothing(tmp_path):
    file = tmp_path / "file.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}\n')

    assert rows(file) == [(1, {"a": 1}), (3, {"a": 2})]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("f.jsonl", b'{"a": 1}\n{"a":\n', "Line 2: It is not JSON."),
        ("f.jsonl", b"[1]\n", "Line 1: It is not a JSON object."),
        ("f.jsonl", b"[" * 100_000 + b"\n", "Line 1: It is not JSON."),
        ("f.csv", b"a,b\n1,2\n1\n", "Line 3: It has 1 cells; the header has 2."),
        ("f.csv", b"a,a\n1,2\n", "The column 'a' of f.csv is there twice."),
        ("f.csv", b"", "f.csv is empty"),
        ("f.csv", b"a\n\xff\xfe\n", "f.csv is not UTF-8 text."),
        ("f.parquet", b"PAR1", "f.parquet is not Parquet"),
        ("f.xlsx", b"", "f.xlsx ends in .xlsx; known are .jsonl, .ndjson, .csv, .parquet."),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, sentence):
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(BadInput) as caught:
        rows(file)

    assert str(caught.value).startswith(sentence)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("arena.services.tabular.LONGEST_LINE", 100)
    file = tmp_path / "f.jsonl"
    file.write_text('{"a": "' + "x" * 1000)

    with pytest.raises(BadRow, match="Line 1: It is longer than 100 characters"):
        rows(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"There is no file .*gone.csv"):
        rows(tmp_path / "gone.csv")
