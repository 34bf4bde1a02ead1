"""Characters and bytes against the models of `tokenizers`, and its decoder of bytes."""

import random

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteFallback, Fuse, Sequence
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import Split

from happyllm.tokenizer.char import UNK, ByteTokenizer, CharTokenizer

TEXTS = ["hello, world", "今天天气很好。", "e\u0301 é ﬁ ½", "👩‍👩‍👧 🇨🇳", "\tA\r\n b\u3000"]


@pytest.mark.parametrize("text", [*TEXTS, "".join(TEXTS), "unseen: жЖ"])
def test_ids_of_characters_are_those_of_a_model_of_single_characters(text):
    ours = CharTokenizer.train(TEXTS)
    theirs = Tokenizer(WordLevel(vocab=ours.vocab, unk_token=UNK))
    theirs.pre_tokenizer = Split(Regex(r"[\s\S]"), behavior="isolated")
    assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_are_those_that_byte_fallback_falls_back_to(text):
    vocab = {"<unk>": 256} | {f"<0x{byte:02X}>": byte for byte in range(256)}
    theirs = Tokenizer(BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    assert ByteTokenizer().encode(text) == theirs.encode(text).ids


@pytest.mark.parametrize("seed", range(50))
def test_valid_bytes_decode_as_those_of_byte_fallback(seed):
    draw = random.Random(seed)
    text = "".join(draw.choice("aé你😀 \n") for _ in range(20))
    decoder = Sequence([ByteFallback(), Fuse()])
    tokens = [f"<0x{byte:02X}>" for byte in ByteTokenizer().encode(text)]
    assert ByteTokenizer().decode(ByteTokenizer().encode(text)) == decoder.decode(tokens)
