import json
import sys

import pytest

from happyllm.data import iter_hub, iter_jsonl, iter_texts, pick_fields


@pytest.fixture
def jsonl(tmp_path):
    def write(data):
        path = tmp_path / "data.jsonl"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def test_every_line_comes_as_an_object_in_order(jsonl):
    rows = [{"text": "ein"}, {"text": "二\u2028三"}, {"n": [1, {"a": None}]}]
    path = jsonl("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert list(iter_jsonl(path)) == rows


def test_an_empty_file_has_nothing_to_give(jsonl):
    assert list(iter_jsonl(jsonl(""))) == []


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_and_a_byte_order_mark_are_passed_over(jsonl, end):
    path = jsonl(b"\xef\xbb\xbf" + f'{{"a": 1}}{end}{end} \t{end}{{"a": 2}}{end}'.encode())
    assert [row["a"] for row in iter_jsonl(path)] == [1, 2]


@pytest.mark.parametrize(
    "bad", [b'{"a": ', b'{"a": 1} x', b'{"a": "\xff"}', b"[1]", b"null", b"\x00"]
)
def test_a_bad_line_is_named_with_its_file_and_number(jsonl, bad):
    path = jsonl(b'{"a": 1}\n\n' + bad + b'\n{"a": 2}\n')
    with pytest.raises(ValueError, match=rf"^{path}:3: .*on_error='skip'"):
        list(iter_jsonl(path))
    skipped = []
    assert list(iter_jsonl(path, on_error="skip", skipped=skipped)) == [{"a": 1}, {"a": 2}]
    assert len(skipped) == 1
    assert skipped[0].startswith(f"{path}:3: ")


def test_a_line_is_read_only_when_it_is_asked_for(jsonl):
    rows = iter_jsonl(jsonl('{"a": 1}\nnot json\n'))
    assert next(rows) == {"a": 1}
    with pytest.raises(ValueError, match=":2: "):
        next(rows)


def test_a_long_file_takes_the_memory_of_a_line(tmp_path):
    import tracemalloc

    path = tmp_path / "long.jsonl"
    with path.open("w") as file:
        for _ in range(20_000):
            file.write(json.dumps({"text": "x" * 1000}) + "\n")
    tracemalloc.start()
    count = sum(1 for _ in iter_jsonl(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 1_000_000


def test_another_way_to_treat_errors_is_refused(jsonl):
    with pytest.raises(ValueError, match="on_error='ignore'"):
        next(iter_jsonl(jsonl(""), on_error="ignore"))


def test_a_missing_field_is_named_with_its_record():
    rows = pick_fields([{"a": 1}, {"b": 2}], {"text": "a"})
    assert next(rows) == {"text": 1}
    with pytest.raises(ValueError, match=r"record 2 has no field 'a' for 'text': it has b"):
        next(rows)


def test_the_texts_of_a_folder_come_in_order_of_their_paths(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.txt").write_text("zwei")
    (tmp_path / "a.txt").write_text("一", encoding="utf-8")
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "c.md").write_text("no")
    assert list(iter_texts(tmp_path)) == ["一", "zwei"]


def test_a_folder_without_texts_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file fits"):
        next(iter_texts(tmp_path))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        next(iter_texts(tmp_path / "nowhere"))


def test_a_file_of_another_encoding_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes("你好".encode("gb18030"))
    with pytest.raises(ValueError, match=r"a\.txt: byte 0 is not utf-8"):
        next(iter_texts(tmp_path))
    assert list(iter_texts(tmp_path, encoding="gb18030")) == ["你好"]


def test_without_the_hub_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(RuntimeError, match=r"some/data: .*pip install datasets"):
        next(iter_hub("some/data"))
