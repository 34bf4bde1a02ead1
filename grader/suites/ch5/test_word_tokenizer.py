"""Hidden suite of ch5/word_tokenizer."""

import random
import re
from collections import Counter

import pytest

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.tokenizer.word import UNK, WordTokenizer, split_words

CORPUS = [
    "The cat sat on the mat. The cat slept!",
    "the dog sat; the cat ran, ran, ran.",
    "天气 很 好 。 天气 不 好 ！",
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the cat sat", ["the", "cat", "sat"]),
        ("Stop, cat!", ["Stop", ",", "cat", "!"]),
        ("don't", ["don", "'", "t"]),
        ("well...?", ["well", ".", ".", ".", "?"]),
    ],
)
def test_words_and_punctuation_marks_are_tokens(student, text, words):
    """A run of letters is a word; every punctuation mark is a token of its own.

    一串连续的字母是一个词；每个标点各自是一个 token。
    """
    check.equal(student.split_words(text), words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ångström naïve café", ["Ångström", "naïve", "café"]),
        ("今天天气好。是吗？", ["今天天气好", "。", "是吗", "？"]),
        ("abc123 4.5 snake_case", ["abc123", "4", ".", "5", "snake_case"]),
        ("привет 😀 €5", ["привет", "😀", "€", "5"]),
    ],
    ids=["accents", "Chinese", "digits", "others"],
)
def test_letters_of_every_script_make_words(student, text, words):
    r"""A word is a run of `\w`: letters of any script, digits and underscores.

    词是一串 `\w`：任何文字的字母、数字和下划线。
    """
    check.equal(student.split_words(text), words)


def test_white_space_separates_and_is_dropped(student):
    """Spaces, tabs and line breaks, however many, are no tokens; nothing at all gives no tokens.

    空格、制表符、换行，无论多少，都不是 token；空文本没有 token。
    """
    check.equal(student.split_words("  a\t\tb\n\n c \u3000d "), ["a", "b", "c", "d"])
    check.equal(student.split_words(""), [])
    check.equal(student.split_words(" \n "), [])


def test_the_vocabulary_begins_with_the_special_tokens(student):
    """`<unk>` has id 0; other special tokens that are asked for keep the order given.

    `<unk>` 的编号是 0；另外指定的特殊 token 保持给出的次序。
    """
    check.equal(student.WordTokenizer.train(["b a b"]).vocab, {UNK: 0, "b": 1, "a": 2})
    special = ["<pad>", UNK, "<eos>"]
    got = student.WordTokenizer.train(["b a b"], special_tokens=special)
    check.equal(got.vocab, {"<pad>": 0, UNK: 1, "<eos>": 2, "b": 3, "a": 4})
    check.equal(got.encode("a z"), [4, 1])


def test_a_special_token_that_is_a_word_stands_once(student):
    """A special token that occurs in the corpus keeps its place, and does not come again.

    语料中也出现的特殊 token 保持原位，不再重复加入。
    """
    got = student.WordTokenizer.train(["b a b eos eos"], special_tokens=["eos", UNK])
    check.equal(got.tokens, ["eos", UNK, "b", "a"])


def test_the_tokenizer_has_a_list_of_its_own(student):
    """Tokens may be given as any sequence, and what the caller does to it later changes nothing.

    token 可以用任何序列给出；调用者之后再改它，不会影响分词器。
    """

    def changed_later(m):
        """tokens = ["<unk>", "a"]; tokenizer = WordTokenizer(tokens); tokens.append("b")"""
        tokens = ["<unk>", "a"]
        tokenizer = m.WordTokenizer(tokens)
        tokens.append("b")
        return tokenizer.tokens, m.WordTokenizer(("a", "<unk>")).tokens

    check.equal(student.run(changed_later), ([UNK, "a"], ["a", UNK]))


def test_the_most_frequent_words_come_first(student):
    """Words stand by falling frequency; of equally frequent ones, the one met first goes first.

    词按频次从高到低排列；频次相同时，先出现的在前。
    """
    check.equal(student.WordTokenizer.train(CORPUS).tokens, WordTokenizer.train(CORPUS).tokens)
    words = ["".join(random.choices("abc", k=random.randint(1, 2))) for _ in range(60)]
    text = " ".join(words)
    check.equal(student.WordTokenizer.train([text]).vocab, WordTokenizer.train([text]).vocab)


def test_all_texts_are_counted_together(student):
    """Frequencies are those of the whole corpus; texts may come one at a time, from a generator.

    频次按整个语料统计；文本可以由生成器逐条给出。
    """

    def from_a_generator(m, texts):
        """WordTokenizer.train(text for text in texts).tokens"""
        return m.WordTokenizer.train(text for text in texts).tokens

    got = student.run(from_a_generator, ["a b", "c b", "c b"])
    check.equal(got, [UNK, "b", "c", "a"])


@pytest.mark.parametrize("vocab_size", [1, 4, 7, 1000])
def test_the_size_of_the_vocabulary_counts_the_special_tokens(student, vocab_size):
    """vocab_size is the greatest number of tokens, special ones among them.

    vocab_size 是 token 总数的上限，特殊 token 也算在内。
    """
    got = student.WordTokenizer.train(CORPUS, vocab_size=vocab_size)
    check.equal(got.vocab, WordTokenizer.train(CORPUS, vocab_size=vocab_size).vocab)


@pytest.mark.parametrize("min_freq", [1, 2, 3, 10])
def test_words_that_are_too_rare_are_left_out(student, min_freq):
    """A word stays if it occurs at least min_freq times; with vocab_size, both limits hold.

    出现至少 min_freq 次的词才保留；同时给出 vocab_size 时，两个限制都要满足。
    """
    got = student.WordTokenizer.train(CORPUS, min_freq=min_freq)
    check.equal(got.vocab, WordTokenizer.train(CORPUS, min_freq=min_freq).vocab)
    got = student.WordTokenizer.train(CORPUS, vocab_size=5, min_freq=min_freq)
    check.equal(got.vocab, WordTokenizer.train(CORPUS, vocab_size=5, min_freq=min_freq).vocab)


def test_known_words_get_their_ids(student):
    """Encoding splits as training did, and looks every word up as it is written.

    编码时按训练时的方式切分，并按原样查每个词。
    """
    tokenizer = student.WordTokenizer([UNK, "The", "the", "cat", "."])
    check.equal(tokenizer.encode("The cat, the cat."), [1, 3, 0, 2, 3, 4])
    check.equal(tokenizer.encode(""), [])


def test_an_unknown_word_becomes_unk(student):
    """Each unknown word gives the id of `<unk>`, wherever that stands: none is dropped.

    每个未知词都给出 `<unk>` 的编号，不管它排在哪里；一个也不能丢。
    """
    check.equal(student.WordTokenizer([UNK, "a"]).encode("a zebra a lion !"), [1, 0, 1, 0, 0])
    check.equal(student.WordTokenizer(["<pad>", "a", UNK]).encode("zebra a"), [2, 1])


def test_the_name_of_a_special_token_in_a_text_is_ordinary_text(student):
    """Whoever writes `<unk>` writes three tokens: `<`, `unk`, `>`.

    文本里写的 `<unk>` 是三个 token：`<`、`unk`、`>`。
    """
    tokenizer = student.WordTokenizer(["<pad>", UNK, "<", "unk", ">"])
    check.equal(tokenizer.encode("<unk>"), [2, 3, 4])


def test_ids_become_words_with_single_spaces_between(student):
    """Decoding joins the tokens by one space each: where the spaces were is not known any more.

    解码时用一个空格连接 token：原来的空格在哪里，已经无从知道。
    """
    tokenizer = student.WordTokenizer([UNK, "cat", "the", "."])
    check.equal(tokenizer.decode([2, 1, 3]), "the cat .")
    check.equal(tokenizer.decode([0, 1]), "<unk> cat")
    check.equal(tokenizer.decode([]), "")


@pytest.mark.parametrize("wrong", [3, 100, -1])
def test_an_id_that_is_not_in_the_vocabulary_is_refused(student, wrong):
    """An id too large is a ValueError, and so is a negative one, which a list would take.

    编号太大要抛出 ValueError；负的也一样，虽然列表会接受负下标。
    """
    tokenizer = student.WordTokenizer([UNK, "a", "b"])
    check.raises(ValueError, lambda: tokenizer.decode([1, wrong]), match=str(wrong))


def test_what_cannot_be_a_vocabulary_is_refused(student):
    """A token that occurs twice is a ValueError that names it, and so is a list without `<unk>`.

    token 重复时要抛出写明该 token 的 ValueError；缺少 `<unk>` 时也一样。
    """
    check.raises(ValueError, lambda: student.WordTokenizer([UNK, "cat", "cat"]), match="cat")
    check.raises(ValueError, lambda: student.WordTokenizer(["cat"]), match=UNK)


def test_sizes_that_make_no_sense_are_refused(student):
    """No room for the special tokens, or a min_freq below 1, raises ValueError by name.

    装不下特殊 token，或 min_freq 小于 1，都要抛出写明参数名的 ValueError。
    """
    train = student.WordTokenizer.train
    check.raises(ValueError, lambda: train(["a"], vocab_size=0), match="vocab_size")
    check.raises(ValueError, lambda: train(["a"], min_freq=0), match="min_freq")


# ---- other right ways


@also_right("split_words", en="character by character")
def by_hand(text):
    words, word = [], ""
    for character in text:
        if character.isalnum() or character == "_":
            word += character
            continue
        if word:
            words.append(word)
        word = ""
        if not character.isspace():
            words.append(character)
    return [*words, word] if word else words


@also_right("WordTokenizer.encode", en="a loop with a condition")
def looked_up(self, text):
    ids = []
    for word in split_words(text):
        if word in self.vocab:
            ids.append(self.vocab[word])
        else:
            ids.append(self.vocab["<unk>"])
    return ids


@also_right("WordTokenizer.train", en="a plain dict, and a sort that keeps the order of equals")
@classmethod
def sorted_by_count(cls, texts, vocab_size=None, min_freq=1, special_tokens=(UNK,)):
    if min_freq < 1:
        raise ValueError(f"min_freq {min_freq}")
    if vocab_size is not None and vocab_size < len(special_tokens):
        raise ValueError(f"vocab_size {vocab_size}")
    counts = {}
    for text in texts:
        for word in split_words(text):
            counts[word] = counts.get(word, 0) + 1
    order = sorted(counts, key=lambda word: -counts[word])
    order = [word for word in order if counts[word] >= min_freq and word not in special_tokens]
    tokens = list(special_tokens) + order
    return cls(tokens if vocab_size is None else tokens[:vocab_size])


# ---- mistakes that people make


@known_wrong(
    "split_words",
    en="You split at white space only: `mat.` and `mat` become two different words. Split "
    "punctuation off.",
    zh="你只按空白切分：`mat.` 和 `mat` 成了两个不同的词。应把标点也切下来。",
)
def at_spaces(text):
    return text.split()


@known_wrong(
    "split_words",
    en=r"You know the letters a to z only; letters with accents, Cyrillic ones and Chinese "
    r"characters are letters too. `\w` has them all.",
    zh=r"你只认 a 到 z；é、я、天也是字母。`\w` 包含所有文字。",
)
def ascii_letters(text):
    return re.findall(r"[A-Za-z0-9_]+|[^A-Za-z0-9_\s]", text)


@known_wrong(
    "split_words",
    en="You keep words alone. Punctuation marks are tokens too.",
    zh="你只留下了词。标点也是 token。",
)
def words_only(text):
    return re.findall(r"\w+", text)


@known_wrong(
    "split_words",
    en="You keep a run of punctuation together; each mark is a token of its own.",
    zh="你把连续的标点合成了一个；每个标点各自是一个 token。",
)
def runs_of_punctuation(text):
    return re.findall(r"\w+|[^\w\s]+", text)


@known_wrong(
    "split_words",
    en="You make capitals small: what a tokenizer throws away, the model never sees.",
    zh="你把大写变成了小写：分词器丢掉的东西，模型永远看不到。",
)
def made_small(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


@known_wrong(
    "split_words",
    en="White space comes out as tokens; here it only separates.",
    zh="空白也成了 token；在这里它只起分隔作用。",
)
def with_white_space(text):
    return re.findall(r"\w+|[^\w]", text)


def _train(cls, texts, vocab_size, min_freq, special_tokens, order, keep=None):
    if vocab_size is not None and vocab_size < len(special_tokens):
        raise ValueError(f"vocab_size={vocab_size}")
    if min_freq < 1:
        raise ValueError(f"min_freq={min_freq}")
    counts = Counter(word for text in texts for word in split_words(text))
    keep = keep or (lambda count: count >= min_freq)
    words = [word for word in order(counts) if keep(counts[word])]
    return [*special_tokens, *(word for word in words if word not in special_tokens)]


def _by_count(counts):
    return [word for word, _ in counts.most_common()]


@known_wrong(
    "WordTokenizer.train",
    en="The words stand in alphabetical order. Sort by frequency, so that vocab_size cuts off the "
    "rarest.",
    zh="词按字母顺序排列了。应按频次排序，这样 vocab_size 截掉的才是最少见的词。",
)
@classmethod
def alphabetical(cls, texts, vocab_size=None, min_freq=1, special_tokens=(UNK,)):
    return cls(_train(cls, texts, vocab_size, min_freq, special_tokens, sorted)[:vocab_size])


@known_wrong(
    "WordTokenizer.train",
    en="The words stand in the order in which they were met. Sort by frequency, so that "
    "vocab_size cuts off the rarest.",
    zh="词按出现的先后排列了。应按频次排序，这样 vocab_size 截掉的才是最少见的词。",
)
@classmethod
def as_met(cls, texts, vocab_size=None, min_freq=1, special_tokens=(UNK,)):
    return cls(_train(cls, texts, vocab_size, min_freq, special_tokens, list)[:vocab_size])


@known_wrong(
    "WordTokenizer.train",
    en="Of equally frequent words the alphabet decides; the one met first shall go first.",
    zh="频次相同的词你按字母排了；应让先出现的在前。",
)
@classmethod
def ties_by_alphabet(cls, texts, vocab_size=None, min_freq=1, special_tokens=(UNK,)):
    def order(counts):
        return sorted(counts, key=lambda word: (-counts[word], word))

    return cls(_train(cls, texts, vocab_size, min_freq, special_tokens, order)[:vocab_size])


@known_wrong(
    "WordTokenizer.train",
    en="vocab_size counts the words alone; the special tokens are among them.",
    zh="vocab_size 只算了普通词；特殊 token 也包含在内。",
)
@classmethod
def special_not_counted(cls, texts, vocab_size=None, min_freq=1, special_tokens=(UNK,)):
    tokens = _train(cls, texts, vocab_size, min_freq, special_tokens, _by_count)
    return cls(tokens if vocab_size is None else tokens[: vocab_size + len(special_tokens)])


@known_wrong(
    "WordTokenizer.train",
    en="A word that occurs exactly min_freq times is left out; it stays: use `>=`.",
    zh="恰好出现 min_freq 次的词被丢了；它应保留：用 `>=`。",
)
@classmethod
def more_than_min_freq(cls, texts, vocab_size=None, min_freq=1, special_tokens=(UNK,)):
    def keep(count):
        return count > min_freq

    return cls(
        _train(cls, texts, vocab_size, min_freq, special_tokens, _by_count, keep)[:vocab_size]
    )


@known_wrong(
    "WordTokenizer.train",
    en="The special tokens come last: their ids change with every corpus. Put them first.",
    zh="特殊 token 排在了最后：换个语料，编号就变了。应放在最前面。",
)
@classmethod
def special_last(cls, texts, vocab_size=None, min_freq=1, special_tokens=(UNK,)):
    tokens = _train(cls, texts, vocab_size, min_freq, special_tokens, _by_count)[:vocab_size]
    return cls([*tokens[len(special_tokens) :], *special_tokens])


@known_wrong(
    "WordTokenizer.encode",
    en="Unknown words vanish. They must leave a trace: the id of `<unk>`.",
    zh="未知词消失了。它们必须留下痕迹：`<unk>` 的编号。",
)
def unknown_dropped(self, text):
    return [self.vocab[word] for word in split_words(text) if word in self.vocab]


@known_wrong(
    "WordTokenizer.encode",
    en="An unknown word raises KeyError: use vocab.get with the id of `<unk>`.",
    zh="遇到未知词抛出了 KeyError：用 vocab.get，缺省为 `<unk>` 的编号。",
)
def unknown_raises(self, text):
    return [self.vocab[word] for word in split_words(text)]


@known_wrong(
    "WordTokenizer.encode",
    en="You take 0 for unknown words; `<unk>` may stand elsewhere: look its id up.",
    zh="未知词你一律用了 0；`<unk>` 可能在别处：应查它的编号。",
)
def unknown_is_zero(self, text):
    return [self.vocab.get(word, 0) for word in split_words(text)]


@known_wrong(
    "WordTokenizer.encode",
    en="You split at white space here, but not in training: `cat.` is then unknown.",
    zh="这里你按空白切分，训练时却不是：于是 `cat.` 成了未知词。",
)
def split_otherwise(self, text):
    return [self.vocab.get(word, self.vocab[UNK]) for word in text.split()]


def _token(self, i):
    if not 0 <= i < len(self.tokens):
        raise ValueError(f"id {i}")
    return self.tokens[i]


@known_wrong(
    "WordTokenizer.decode",
    en="The words stand together without spaces.",
    zh="词与词连在了一起，中间没有空格。",
)
def glued(self, ids):
    return "".join(_token(self, i) for i in ids)


@known_wrong(
    "WordTokenizer.decode",
    en="You drop `<unk>`: the reader shall see that a word is missing there.",
    zh="你丢掉了 `<unk>`：应让读者看到那里缺了一个词。",
)
def unk_hidden(self, ids):
    return " ".join(token for token in (_token(self, i) for i in ids) if token != UNK)


@known_wrong(
    "WordTokenizer.decode",
    en="A negative id counts from the end of the list: -1 gives the last word. Refuse it.",
    zh="负的编号会从列表末尾数起：-1 给出最后一个词。应拒绝它。",
)
def from_the_end(self, ids):
    words = []
    for i in ids:
        if i >= len(self.tokens):
            raise ValueError(f"id {i}")
        words.append(self.tokens[i])
    return " ".join(words)


@known_wrong(
    "WordTokenizer.decode",
    en="An id that is too large raises IndexError or nothing: raise ValueError and name the id.",
    zh="编号太大时抛出的是 IndexError：应抛出写明编号的 ValueError。",
)
def index_error(self, ids):
    return " ".join(self.tokens[i] for i in ids)


@known_wrong(
    "WordTokenizer.__init__",
    en="A token that occurs twice gets through: then two ids have one word. Refuse it.",
    zh="重复的 token 没被拒绝：同一个词会有两个编号。应拒绝。",
)
def twice_is_fine(self, tokens):
    if UNK not in tokens:
        raise ValueError(f"{UNK} is missing")
    self.tokens = list(tokens)
    self.vocab = {token: i for i, token in enumerate(tokens)}


@known_wrong(
    "WordTokenizer.__init__",
    en="A vocabulary without `<unk>` gets through, and fails at the first unknown word.",
    zh="没有 `<unk>` 的词表没被拒绝，会在第一个未知词处出错。",
)
def without_unk(self, tokens):
    doubles = [token for token, count in Counter(tokens).items() if count > 1]
    if doubles:
        raise ValueError(f"{doubles[0]} occurs twice")
    self.tokens = list(tokens)
    self.vocab = {token: i for i, token in enumerate(tokens)}
