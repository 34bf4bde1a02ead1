import json
import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from happyllm.tokenizer import BPETokenizer, TokenizerFileError, train_bpe

TOKENIZER = train_bpe("the cat sat on the mat 我们去公园" * 3, 300, ["<|end|>"])


@pytest.fixture
def file(tmp_path):
    TOKENIZER.save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def changed(file, change):
    contents = json.loads(file.read_text(encoding="utf-8"))
    change(contents)
    file.write_text(json.dumps(contents), encoding="utf-8")
    return file


def complaint(file):
    with pytest.raises(TokenizerFileError) as raised:
        BPETokenizer.load(file)
    message = str(raised.value)
    assert message.startswith(f"{file}: ")
    return message


def test_what_is_saved_is_loaded(file):
    loaded = BPETokenizer.load(file)
    assert loaded.vocab == TOKENIZER.vocab
    assert loaded.merges == TOKENIZER.merges
    assert loaded.special_tokens == TOKENIZER.special_tokens


def test_saving_twice_gives_the_same_bytes(file, tmp_path):
    BPETokenizer.load(file).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()


def test_a_saved_file_is_ordinary_and_nothing_lies_beside_it(file):
    assert os.listdir(file.parent) == ["tokenizer.json"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_file_that_cannot_be_written_leaves_the_old_one(file, monkeypatch):
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        train_bpe("other", 270).save(file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == ["tokenizer.json"]


def test_merges_may_be_written_as_in_older_files(file):
    def as_strings(contents):
        contents["model"]["merges"] = [" ".join(pair) for pair in contents["model"]["merges"]]

    assert BPETokenizer.load(changed(file, as_strings)).merges == TOKENIZER.merges


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    assert "cannot be read: No such file" in complaint(tmp_path / "tokenizer.json")


def test_a_folder_is_no_file(tmp_path):
    assert "cannot be read" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "line 1: not valid JSON"),
        (b'{"model": {', "line 1: not valid JSON"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b"[" * 100_000, "nesting: not valid JSON"),
        (b"[]", "model: missing"),
        (b"{}", "model: missing"),
        (b'{"model": 3, "pre_tokenizer": {"type": "ByteLevel"}}', "pre_tokenizer.add_prefix_space"),
    ],
)
def test_what_is_no_tokenizer_file_is_refused(tmp_path, contents, message):
    (tmp_path / "tokenizer.json").write_bytes(contents)
    assert message in complaint(tmp_path / "tokenizer.json")


def put(*path):
    *folders, name, value = path

    def change(contents):
        for folder in folders:
            contents = contents[folder]
        contents[name] = value

    return change


def drop(*path):
    *folders, name = path

    def change(contents):
        for folder in folders:
            contents = contents[folder]
        del contents[name]

    return change


ADDED = {"id": 1, "content": "<|x|>"}


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        (put("normalizer", {"type": "NFKC"}), "normalizer", "Tokenizer.from_file"),
        (put("truncation", {"max_length": 3}), "truncation", "Tokenizer.from_file"),
        (put("pre_tokenizer", None), "pre_tokenizer", "'ByteLevel' is expected"),
        (put("pre_tokenizer", "add_prefix_space", True), "pre_tokenizer.add_prefix_space", "False"),
        (put("pre_tokenizer", "use_regex", False), "pre_tokenizer.use_regex", "True"),
        (put("decoder", {"type": "WordPiece"}), "decoder", "'ByteLevel' is expected"),
        (put("post_processor", {"type": "Template"}), "post_processor", "'ByteLevel' is expected"),
        (put("model", "type", "Unigram"), "model.type", "'BPE' is expected"),
        (put("model", "dropout", 0.1), "model.dropout", "must be off"),
        (put("model", "byte_fallback", True), "model.byte_fallback", "must be off"),
        (put("model", "ignore_merges", True), "model.ignore_merges", "must be off"),
        (put("model", "unk_token", "<unk>"), "model.unk_token", "must be off"),
        (put("model", []), "model", "dict is expected"),
        (drop("model", "vocab"), "model.vocab", "save or fetch it again"),
        (put("model", "vocab", []), "model.vocab", "dict is expected"),
        (put("model", "vocab", "a", "7"), "model.vocab['a']", "a whole number is expected"),
        (put("model", "vocab", "a", True), "model.vocab['a']", "a whole number is expected"),
        (put("model", "vocab", "世", 999), "model.vocab['世']", "stands for no byte"),
        (put("model", "vocab", "", 999), "model.vocab['']", "stands for no byte"),
        (put("model", "vocab", "<|end|>", 5), "model.vocab['<|end|>']", "make them agree"),
        (drop("model", "vocab", "a"), "model.merges", "not in model.vocab"),
        (drop("model", "vocab", "z"), "model: vocab", "lacks the byte 0x7a"),
        (put("model", "vocab", "a", 40), "model", "have the same id 40"),
        (put("model", "vocab", "a", -1), "model", "ids begin at 0"),
        (drop("model", "merges"), "model.merges", "save or fetch it again"),
        (put("model", "merges", 0, ["t"]), "model.merges[0]", "two tokens are expected"),
        (put("model", "merges", 2, "t h e"), "model.merges[2]", "two tokens are expected"),
        (put("model", "merges", 1, ["世", "a"]), "model.merges[1]", "not in model.vocab"),
        (put("model", "merges", 1, [3, "a"]), "model.merges[1]", "two tokens are expected"),
        (drop("added_tokens"), "added_tokens", "save or fetch it again"),
        (put("added_tokens", 0, 5), "added_tokens[0]", "is no table"),
        (put("added_tokens", 0, "content", 5), "added_tokens[0].content", "str is expected"),
        (drop("added_tokens", 0, "id"), "added_tokens[0].id", "missing"),
        (put("added_tokens", 0, "lstrip", True), "added_tokens[0].lstrip", "not done here"),
        (put("added_tokens", [ADDED, ADDED]), "added_tokens[1].content", "occurs twice"),
        (put("added_tokens", [ADDED]), "model", "have the same id 1"),
    ],
)
def test_a_file_that_is_damaged_or_works_otherwise_is_refused_by_field(file, change, field, fix):
    message = complaint(changed(file, change))
    assert message.startswith(f"{file}: {field}")
    assert fix in message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 10_000))
def test_a_file_that_was_cut_off_is_refused(file, cut):
    whole = file.read_bytes().rstrip()
    (file.parent / "cut.json").write_bytes(whole[: cut % len(whole)])
    complaint(file.parent / "cut.json")
