"""From text to ids and back: words, characters, bytes, subwords, and byte-level BPE (5.2).

Read the files in this order: word, char, subword, bpe; letters and files are what `tokenizer.json`
needs.
"""

from happyllm.tokenizer.bpe import (
    BPETokenizer,
    count_pairs,
    count_words,
    learn_merges,
    merge_pair,
    pre_tokenize,
    train_bpe,
)
from happyllm.tokenizer.char import ByteTokenizer, CharTokenizer
from happyllm.tokenizer.files import TokenizerFileError
from happyllm.tokenizer.subword import bpe_encode, unigram_viterbi, wordpiece_encode
from happyllm.tokenizer.word import WordTokenizer, split_words

__all__ = [
    "BPETokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "TokenizerFileError",
    "WordTokenizer",
    "bpe_encode",
    "count_pairs",
    "count_words",
    "learn_merges",
    "merge_pair",
    "pre_tokenize",
    "split_words",
    "train_bpe",
    "unigram_viterbi",
    "wordpiece_encode",
]
