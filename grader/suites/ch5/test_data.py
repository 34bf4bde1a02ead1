"""Hidden suite of ch5/data."""

import json

import pytest

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.data.chat import to_messages
from happyllm.data.pack import pack

EOS = 0
TWO = b'{"a": 1}\n{"a": 2}\n'


def read(m, data, n, options):
    """list(iter_jsonl(path, …)), of a file with these bytes; at most n objects

    list(iter_jsonl(path, …))：文件内容为这些字节，最多取 n 个对象
    """
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(data)
        file.flush()
        found = []
        try:
            rows = m.iter_jsonl(file.name, **options)
            for row in rows:
                found.append(row)
                if len(found) == n:
                    break
        except ValueError as error:
            raise ValueError(str(error).replace(file.name, "FILE")) from None
        if hasattr(rows, "close"):
            rows.close()
        return found


def complaint(m, data):
    """iter_jsonl(path), read to the end: the error's message, with the file's name as FILE

    iter_jsonl(path) 一直读到底：错误消息，其中文件名写作 FILE
    """
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(data)
        file.flush()
        try:
            for _ in m.iter_jsonl(file.name):
                pass
        except ValueError as error:
            return str(error).replace(file.name, "FILE")
        return ""


def skipping(m, data):
    """list(iter_jsonl(path, on_error="skip", skipped=skipped)), skipped; the file's name as FILE

    list(iter_jsonl(path, on_error="skip", skipped=skipped)) 与 skipped；文件名写作 FILE
    """
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(data)
        file.flush()
        skipped = []
        rows = list(m.iter_jsonl(file.name, on_error="skip", skipped=skipped))
        return rows, [str(one).replace(file.name, "FILE")[:8] for one in skipped]


def memory(m, n_lines, line_bytes):
    """Whether iter_jsonl goes through so many long lines in less memory than an eighth of the file

    iter_jsonl 读完这么多长行，所用内存是否不到文件大小的八分之一
    """
    import tempfile
    import tracemalloc

    line = b'{"text": "' + b"x" * line_bytes + b'"}\n'
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for _ in range(n_lines):
            file.write(line)
        file.flush()
        tracemalloc.start()
        try:
            for _ in m.iter_jsonl(file.name):
                pass
            return tracemalloc.get_traced_memory()[1] < n_lines * len(line) / 8
        finally:
            tracemalloc.stop()


def packed(m, docs, seq_len, eos):
    """list(pack(docs, seq_len, eos))"""
    return [list(row) for row in m.pack(docs, seq_len, eos)]


def first_rows(m, seq_len, eos, n):
    """pack(endless documents [1, 1], [2, 2], …): its first rows, and how many it had read by then

    pack(无穷多篇文档 [1, 1]、[2, 2]……)：取前几行，以及那时已读了几篇文档
    """
    read = []

    def docs():
        number = 0
        while number < 1000:
            number += 1
            read.append(number)
            yield [number, number]

    rows, found = m.pack(docs(), seq_len, eos), []
    for row in rows:
        found.append((list(row), len(read)))
        if len(found) == n:
            break
    return found


def left_behind(m, docs, seq_len, eos):
    """docs, after list(pack(docs, seq_len, eos))

    list(pack(docs, seq_len, eos)) 之后的 docs
    """
    for _ in m.pack(docs, seq_len, eos):
        pass
    return docs


def said(*contents, system=None):
    roles = ("user", "assistant")
    turns = [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]
    return [{"role": "system", "content": system}, *turns] if system is not None else turns


# ---- iter_jsonl


def test_each_line_comes_as_an_object_in_order(student):
    """One object a line, in the order of the file, whatever its letters and however it ends.

    每行一个对象，按文件中的顺序给出，与文字内容和末尾有无换行都无关。
    """
    rows = [{"text": "你好，世界"}, {"n": [1, {"x": None}]}, {"text": "é\u2028ü"}]
    data = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    check.equal(student.run(read, data, 9, {}), rows)
    check.equal(student.run(read, data + b"\n", 9, {}), rows)
    check.equal(student.run(read, b"", 9, {}), [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["n", "rn"])
def test_blank_lines_and_a_byte_order_mark_are_passed_over(student, end):
    """An empty line, a line of spaces and a byte order mark (EF BB BF) before a line are no error.

    空行、只有空白的行，以及行首的字节顺序标记（EF BB BF）都不算错误。
    """
    plain = b'{"a": 1}' + end + end + b" \t" + end + b'{"a": 2}' + end
    for options in ({}, {"on_error": "skip"}):
        check.equal(student.run(read, plain, 9, options), [{"a": 1}, {"a": 2}])
        marked = b"\xef\xbb\xbf" + plain
        check.equal(student.run(read, marked, 9, options), [{"a": 1}, {"a": 2}])
        check.equal(student.run(read, marked + marked, 9, options), [{"a": 1}, {"a": 2}] * 2)


def test_no_line_is_read_before_it_is_asked_for(student):
    """The objects before a bad line come out before the bad line raises: nothing is read ahead.

    坏行之前的对象先被给出，读到坏行时才报错：不提前读。
    """
    check.equal(student.run(read, TWO + b"not json\n", 2, {}), [{"a": 1}, {"a": 2}])


def test_a_file_may_be_larger_than_memory(student):
    """One line is held at a time: neither all of the text nor all of the objects.

    每次只持有一行：既不一次读入全文，也不攒下所有对象。
    """
    check.that(
        student.run(memory, 400, 5000) is True,
        en="A file of 2 MB took more than a quarter of a megabyte: was it read as a whole?",
        zh="2 MB 的文件占用了四分之一兆以上的内存：是不是一次读进来了？",
    )


@pytest.mark.parametrize(
    "bad",
    [
        *(b'{"a": ', b'{"a": 1} {"a": 2}', b"[1, 2]", b"null", b"7"),
        *(b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}'),
    ],
    ids=["cut", "two", "list", "null", "number", "utf-8", "surrogate"],
)
def test_a_bad_line_is_named_by_file_and_number(student, bad):
    """What is no JSON object in UTF-8 raises ValueError; its message begins with `file:line: `.

    不是 UTF-8 编码的 JSON 对象的行抛出 ValueError，消息以 `文件:行号: ` 开头。
    """
    told = student.run(complaint, b'{"a": 1}\n\n' + bad + b"\n" + TWO)
    check.that(
        str(told).startswith("FILE:3: "),
        en="Line 3 is bad (line 2 is blank and counts): the error should begin with FILE:3: .",
        zh="第 3 行是坏行（第 2 行是空行，也计数）：错误消息应以 FILE:3: 开头。",
        got=told,
    )


def test_a_bad_line_in_the_first_place_is_line_1(student):
    """Lines are counted from 1, as every editor does.

    行号从 1 数起，和编辑器一样。
    """
    told = student.run(complaint, b"{\n" + TWO)
    check.that(
        str(told).startswith("FILE:1: "),
        en="The very first line is bad: the error should begin with FILE:1: .",
        zh="第一行就是坏行：错误消息应以 FILE:1: 开头。",
        got=told,
    )


def test_skipping_goes_on_after_a_bad_line_and_keeps_count(student):
    """on_error="skip" gives all good lines, and `skipped` gets one message for each bad one.

    on_error="skip" 给出所有好行，每个坏行在 skipped 里留下一条消息。
    """
    data = b'{"a": 1}\nnot json\n\n{"a": "\xff"}\n[1]\n{"a": 2}\n{"a":'
    expected = ([{"a": 1}, {"a": 2}], ["FILE:2: ", "FILE:4: ", "FILE:5: ", "FILE:7: "])
    check.equal(student.run(skipping, data), expected)
    check.equal(student.run(read, data, 9, {"on_error": "skip"}), [{"a": 1}, {"a": 2}])


def test_another_way_to_treat_errors_is_refused(student):
    """An `on_error` that is neither "raise" nor "skip" raises ValueError, even for good data.

    on_error 既不是 "raise" 也不是 "skip" 时抛出 ValueError，哪怕数据没有问题。
    """
    for option in ("ignore", "", None):
        check.raises(
            ValueError,
            lambda option=option: student.run(read, TWO, 9, {"on_error": option}),
            match="on_error",
        )


# ---- pack


def test_rows_are_the_documents_end_to_end_with_an_end_after_each(student):
    """Documents in a row, the end token after each, cut into rows of seq_len ids.

    文档首尾相接，每篇之后放一个结束符，再切成长度为 seq_len 的行。
    """
    docs = [[5, 6, 7], [8], [9, 4, 3, 2, 1, 5, 6], [7, 7]]
    for T in (2, 4, 5, 17, 40, 1):
        check.equal(student.run(packed, docs, T, EOS), list(pack(docs, T, EOS)))
    check.equal(student.run(packed, docs, 4, 90), list(pack(docs, 4, 90)))


def test_what_does_not_fill_a_row_is_not_given(student):
    """Every row has exactly seq_len ids; what is left over at the end is dropped.

    每行恰好 seq_len 个编号；最后不足一行的部分不给出。
    """
    check.equal(student.run(packed, [[5, 6, 7], [8, 9]], 5, EOS), [[5, 6, 7, 0, 8]])
    check.equal(student.run(packed, [[5, 6]], 4, EOS), [])
    check.equal(student.run(packed, [], 4, EOS), [])


def test_an_end_that_is_there_already_is_not_doubled(student):
    """A document that ends in the end token gets no second one.

    已经以结束符结尾的文档不再加第二个。
    """
    docs = [[5, EOS], [6, 7], [EOS], [8]]
    check.equal(student.run(packed, docs, 2, EOS), list(pack(docs, 2, EOS)))


def test_an_empty_document_gives_nothing(student):
    """An empty document gives no end token either.

    空文档什么也不产生，连结束符也没有。
    """
    docs = [[], [5], [], [6, 7], [], [8]]
    check.equal(student.run(packed, docs, 2, EOS), list(pack(docs, 2, EOS)))
    check.equal(student.run(packed, [[], []], 1, EOS), [])


def test_no_more_is_read_than_the_next_row_needs(student):
    """Rows come while documents are still being read, so the corpus may be larger than memory.

    一边读文档一边给出行，因此语料可以比内存大。
    """
    expected = [([1, 1, 0, 2], 2), ([2, 0, 3, 3], 3), ([0, 4, 4, 0], 4)]
    check.equal(student.run(first_rows, 4, EOS, 3), expected)


def test_a_full_row_comes_before_the_next_document_is_read(student):
    """A long document fills several rows: they are given before another one is read.

    一篇长文档能填满好几行：应先给出这些行，再去读下一篇。
    """
    expected = [([1], 1), ([1], 1), ([0], 1), ([2], 2)]
    check.equal(student.run(first_rows, 1, EOS, 4), expected)


def test_the_documents_stay_as_they_were(student):
    """The caller's lists do not grow an end token.

    调用者的列表不会被加上结束符。
    """
    docs = [[5, 6], [7]]
    check.equal(student.run(left_behind, docs, 2, EOS), docs)


@pytest.mark.parametrize("T", [0, -1])
def test_a_row_of_no_length_is_refused(student, T):
    """seq_len below 1 raises ValueError that names it.

    seq_len 小于 1 时抛出提到它的 ValueError。
    """
    check.raises(ValueError, lambda: student.run(packed, [[1]], T, EOS), match="seq_len")


# ---- to_messages


def test_messages_pass_with_their_role_and_content_alone(student):
    """Role and content come through unchanged, to the last space; further keys stay behind.

    角色和内容原样保留，连空格都不动；多余的键去掉。
    """
    given = [
        {"role": "system", "content": " be kind\n", "name": "x"},
        {"role": "user", "content": "", "id": 3},
        {"role": "assistant", "content": " Hi "},
    ]
    expected = [{"role": one["role"], "content": one["content"]} for one in given]
    check.equal(student.to_messages({"messages": given}), expected)
    beside = {"messages": given[1:], "system": " be kind\n"}
    check.equal(student.to_messages(beside), expected)


def test_sharegpt_names_become_roles(student):
    """`human` is the user and `gpt` the assistant; a system line inside or beside comes first.

    human 是用户，gpt 是助手；写在里面或旁边的系统提示排在最前。
    """
    turns = [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": " Ho"},
        {"from": "human", "value": "So?\n"},
    ]
    plain = said("Hi", " Ho", "So?\n")
    check.equal(student.to_messages({"conversations": turns}), plain)
    with_system = said("Hi", " Ho", "So?\n", system="Be kind.")
    check.equal(student.to_messages({"conversations": turns, "system": "Be kind."}), with_system)
    inside = [{"from": "system", "value": "Be kind."}, *turns]
    check.equal(student.to_messages({"conversations": inside}), with_system)
    for blank in ("", "  \n", None):
        check.equal(student.to_messages({"conversations": turns, "system": blank}), plain)


def test_an_alpaca_input_follows_the_instruction_unless_it_is_blank(student):
    """Instruction, line break, input; without an input the instruction stands alone.

    指令、换行、输入；没有输入时只有指令。
    """
    base = {"instruction": "Add. ", "output": " 3"}
    check.equal(student.to_messages(base), said("Add. ", " 3"))
    check.equal(student.to_messages(base | {"input": "1 2 "}), said("Add. \n1 2 ", " 3"))
    for blank in ("", "  \n", None):
        check.equal(student.to_messages(base | {"input": blank}), said("Add. ", " 3"))


def test_an_alpaca_history_comes_before_the_instruction(student):
    """System line, earlier turns, then this one.

    先是系统提示，再是之前的轮次，最后是这一轮。
    """
    base = {"instruction": "c", "input": "x", "output": "d"}
    check.equal(
        student.to_messages(base | {"history": [["a", "b"], ["e", "f"]], "system": "S"}),
        said("a", "b", "e", "f", "c\nx", "d", system="S"),
    )
    for blank in ([], None):
        check.equal(student.to_messages(base | {"history": blank}), said("c\nx", "d"))


@pytest.mark.parametrize(
    ("turns", "number"),
    [
        ([("assistant", "a"), ("user", "b")], 0),
        ([("user", "a"), ("user", "b")], 1),
        ([("user", "a"), ("assistant", "b"), ("assistant", "c")], 2),
        ([("user", "a"), ("assistant", "b"), ("system", "c")], 2),
        ([("system", "a"), ("assistant", "b")], 1),
        ([("system", "a"), ("system", "b"), ("user", "c")], 1),
        ([("user", "a"), ("tool", "b")], 1),
        ([("bot", "a")], 0),
        ([("user", "a"), ("assistant", None)], 1),
        ([("user", 5)], 0),
        ([("system", None), ("user", "a")], 0),
    ],
)
def test_a_turn_out_of_place_is_refused_by_number(student, turns, number):
    """Two turns of one role, a late system line, an unknown role, no string: ValueError, `turn n`.

    同一角色连说两轮、系统提示出现得太晚、未知角色、内容不是字符串：ValueError，并写明 `turn n`。
    """
    messages = [{"role": role, "content": content} for role, content in turns]
    check.raises(
        ValueError, lambda: student.to_messages({"messages": messages}), match=f"turn {number}"
    )


def test_sharegpt_and_alpaca_are_checked_as_well(student):
    """The same rules hold for every format, and turns count as they would be returned.

    每种格式都遵守同样的规则，轮次按返回的样子计数。
    """
    broken = [{"from": "gpt", "value": "Hello"}]
    check.raises(ValueError, lambda: student.to_messages({"conversations": broken}), match="turn 0")
    with_system = {"conversations": broken, "system": "S"}
    check.raises(ValueError, lambda: student.to_messages(with_system), match="turn 1")
    no_string = {"instruction": "a", "output": None}
    check.raises(ValueError, lambda: student.to_messages(no_string), match="turn 1")


@pytest.mark.parametrize(
    "conversation",
    [
        {"messages": []},
        {"messages": [{"role": "system", "content": "S"}]},
        {"conversations": []},
        {"question": "a", "answer": "b"},
        {"instruction": "a"},
        {"output": "a"},
        {},
    ],
)
def test_what_is_no_conversation_is_refused(student, conversation):
    """No turn of the user, or none of the three formats: ValueError.

    没有用户的轮次，或者不是这三种格式之一：ValueError。
    """
    check.raises(ValueError, lambda: student.to_messages(conversation))


def test_an_answer_that_is_still_to_come_is_fine(student):
    """A conversation may end with the user: it is the prompt for an answer.

    对话可以以用户结尾：那就是等待回答的提示。
    """
    check.equal(student.to_messages({"messages": said("a", "b", "c")}), said("a", "b", "c"))


def test_the_conversation_stays_as_it_was(student):
    """The record is read and not changed: its lists belong to the caller.

    只读取这条记录，不改动它：里面的列表属于调用者。
    """

    def asked(m, conversation):
        """conversation, after to_messages(conversation)

        to_messages(conversation) 之后的 conversation
        """
        m.to_messages(conversation)
        return conversation

    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
    for conversation in (
        {"messages": said("a", "b"), "system": "S"},
        {"conversations": turns, "system": "S"},
        {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "S"},
    ):
        check.equal(student.run(asked, conversation), conversation)


# ---- other right ways


@also_right("iter_jsonl", en="read as text, bad bytes kept as surrogates")
def by_surrogates(path, on_error="raise", skipped=None):
    if on_error not in {"raise", "skip"}:
        raise ValueError("on_error must be raise or skip")
    number = 0
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for line in file:
            number += 1
            line = line.removeprefix("\ufeff")
            if line.isspace():
                continue
            problem = None
            try:
                line.encode("utf-8")
                value = json.loads(line)
            except (UnicodeEncodeError, json.JSONDecodeError) as error:
                problem = error
            else:
                if type(value) is not dict:
                    problem = "no object"
            if problem is None:
                yield value
            elif on_error == "raise":
                raise ValueError(f"{path}:{number}: {problem}")
            elif skipped is not None:
                skipped.append(f"{path}:{number}: {problem}")


@also_right("pack", en="token by token")
def token_by_token(docs, seq_len, eos):
    if seq_len <= 0:
        raise ValueError("seq_len")
    row = []
    for doc in docs:
        ids = list(doc)
        for i in ids + [eos] * (ids != [] and ids[-1] != eos):
            row.append(i)
            if len(row) == seq_len:
                yield row
                row = []


@also_right("to_messages", en="each format by itself, checks in another order")
def by_cases(conversation):
    out = []
    if "messages" in conversation:
        out = [{k: turn.get(k) for k in ("role", "content")} for turn in conversation["messages"]]
    elif "conversations" in conversation:
        for turn in conversation["conversations"]:
            role = {"human": "user", "gpt": "assistant"}.get(turn["from"], turn["from"])
            out.append({"role": role, "content": turn["value"]})
    elif {"instruction", "output"} <= set(conversation):
        for pair in conversation.get("history") or []:
            out += [{"role": "user", "content": pair[0]}]
            out += [{"role": "assistant", "content": pair[1]}]
        more = conversation.get("input")
        asked = [conversation["instruction"]] + ([more] if more and more.strip() else [])
        out.append({"role": "user", "content": "\n".join(asked)})
        out.append({"role": "assistant", "content": conversation["output"]})
    else:
        raise ValueError("unknown format")
    if (conversation.get("system") or "").strip():
        out.insert(0, {"role": "system", "content": conversation["system"]})
    start = int(bool(out) and out[0]["role"] == "system")
    for i, turn in enumerate(out):
        right = "system" if i < start else ("user", "assistant")[(i - start) % 2]
        if turn["role"] != right or not isinstance(turn["content"], str):
            raise ValueError(f"turn {i} is wrong")
    if len(out) == start:
        raise ValueError("nobody asks")
    return out


# ---- mistakes that people make


def _checked(on_error):
    if on_error not in ("raise", "skip"):
        raise ValueError("on_error")


def _objects(numbered, path, on_error, skipped, *, blank=True, kinds=dict):
    """What iter_jsonl makes of lines that have their numbers already."""
    for number, line in numbered:
        line = line.removeprefix(b"\xef\xbb\xbf")
        if blank and not line.strip():
            continue
        try:
            value = json.loads(line.decode())
            if not isinstance(value, kinds):
                raise ValueError("no object")
        except ValueError as error:
            if on_error == "raise":
                raise ValueError(f"{path}:{number}: {error}") from None
            if skipped is not None:
                skipped.append(f"{path}:{number}: {error}")
            continue
        yield value


@known_wrong(
    "iter_jsonl",
    en="You read the whole file before the first object comes out. Yield each line as it is read, "
    "so that a file may be larger than memory.",
    zh="你先读完了整个文件才给出第一个对象。应读一行就 yield 一行，这样文件可以比内存大。",
)
def all_at_once(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, "rb") as file:
        rows = list(_objects(enumerate(file, start=1), path, on_error, skipped))
    yield from rows


@known_wrong(
    "iter_jsonl",
    en="The objects come one by one, but the text was read as a whole (readlines, read): a file "
    "larger than memory ends the program. Loop over the open file itself.",
    zh="对象虽是逐个给出的，文本却一次全读了进来（readlines、read）：比内存大的文件会让程序崩溃。"
    "应直接遍历打开的文件。",
)
def read_as_a_whole(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, "rb") as file:
        lines = file.readlines()
    yield from _objects(enumerate(lines, start=1), path, on_error, skipped)


@known_wrong(
    "iter_jsonl",
    en="A blank line is not a bad line: pass it over before you parse.",
    zh="空行不是坏行：解析之前先跳过它。",
)
def blank_lines_are_bad(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, "rb") as file:
        yield from _objects(enumerate(file, start=1), path, on_error, skipped, blank=False)


@known_wrong(
    "iter_jsonl",
    en="Line numbers start at 0 here; editors count from 1: enumerate(file, start=1).",
    zh="你的行号从 0 数起；编辑器从 1 数起：enumerate(file, start=1)。",
)
def counted_from_zero(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, "rb") as file:
        yield from _objects(enumerate(file), path, on_error, skipped)


@known_wrong(
    "iter_jsonl",
    en="Blank lines are left out of the count, so that the number in the error is not that of the "
    "file. Count every line, then pass over the blank ones.",
    zh="你没有把空行计入行号，错误里的行号就与文件对不上了。应先给每一行计数，再跳过空行。",
)
def blank_lines_uncounted(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, "rb") as file:
        full = (line for line in file if line.strip())
        yield from _objects(enumerate(full, start=1), path, on_error, skipped)


@known_wrong(
    "iter_jsonl",
    en="A line that is JSON but no object (a list, a number, null) goes through. Whoever asks for "
    "row['text'] next will fail far from here: check isinstance(value, dict).",
    zh="是 JSON 却不是对象的行（列表、数字、null）被放过了。之后取 row['text'] 的人会在很远的地方"
    "出错：应检查 isinstance(value, dict)。",
)
def any_json(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, "rb") as file:
        yield from _objects(enumerate(file, start=1), path, on_error, skipped, kinds=object)


@known_wrong(
    "iter_jsonl",
    en="A line that was skipped leaves no trace: append a message to `skipped`, or nobody learns "
    "that half of the data was lost.",
    zh="跳过的行没有留下任何记录：应往 skipped 里添一条消息，否则丢了一半数据也没人知道。",
)
def skipped_in_silence(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, "rb") as file:
        yield from _objects(enumerate(file, start=1), path, on_error, None)


@known_wrong(
    "iter_jsonl",
    en="One line that is not UTF-8 ends the reading of the whole file. Open the file as bytes, and "
    "decode line by line inside the try.",
    zh="一行不是 UTF-8，整个文件就读不下去了。应以字节方式打开文件，在 try 里逐行解码。",
)
def decoded_at_opening(path, on_error="raise", skipped=None):
    _checked(on_error)
    with open(path, encoding="utf-8-sig") as file:
        lines = ((number, line.encode()) for number, line in enumerate(file, start=1))
        yield from _objects(lines, path, on_error, skipped)


@known_wrong(
    "pack",
    en="No end token stands between documents, so the model learns that the first word of one "
    "follows the last of another, and never learns to stop.",
    zh="文档之间没有结束符，模型会以为一篇的开头接着另一篇的结尾，也永远学不会停下。",
)
def no_ends(docs, seq_len, eos):
    if seq_len < 1:
        raise ValueError("seq_len")
    left = []
    for doc in docs:
        left = [*left, *doc]
        while len(left) >= seq_len:
            yield left[:seq_len]
            left = left[seq_len:]


@known_wrong(
    "pack",
    en="The end token stands before each document instead of after it: then nothing says where the "
    "last one ends, and generation has no sign to stop at.",
    zh="你把结束符放在了每篇文档之前，而不是之后：最后一篇在哪里结束就没有标记了。",
)
def ends_in_front(docs, seq_len, eos):
    if seq_len < 1:
        raise ValueError("seq_len")
    left = []
    for doc in docs:
        if len(doc):
            left = [*left, eos, *doc]
        while len(left) >= seq_len:
            yield left[:seq_len]
            left = left[seq_len:]


@known_wrong(
    "pack",
    en="The last row is shorter than seq_len. What does not fill a row is not given: rows of "
    "several lengths cannot be stacked to a batch.",
    zh="最后一行比 seq_len 短。不足一行的部分不应给出：长短不一的行叠不成一个批次。",
)
def rest_given(docs, seq_len, eos):
    yield from pack(docs, seq_len, eos)
    total = [i for doc in docs for i in (doc if not len(doc) or doc[-1] == eos else [*doc, eos])]
    if len(total) % seq_len:
        yield total[len(total) - len(total) % seq_len :]


@known_wrong(
    "pack",
    en="Each document begins a row of its own, and what is left of it is thrown away. Rows go on "
    "across documents: that is what packing saves.",
    zh="你让每篇文档另起一行，剩下的部分都扔掉了。行应当跨文档延续：打包省下的正是这些。",
)
def each_by_itself(docs, seq_len, eos):
    if seq_len < 1:
        raise ValueError("seq_len")
    for doc in docs:
        ids = [*doc] if len(doc) == 0 or doc[-1] == eos else [*doc, eos]
        for start in range(0, len(ids) - seq_len + 1, seq_len):
            yield ids[start : start + seq_len]


@known_wrong(
    "pack",
    en="All documents are joined before the first row comes out, so the corpus must fit into "
    "memory, and an endless one never starts.",
    zh="你先拼好所有文档才给出第一行，于是整个语料必须装进内存，无穷的语料则永远开始不了。",
)
def joined_first(docs, seq_len, eos):
    if seq_len < 1:
        raise ValueError("seq_len")
    total = [i for doc in docs for i in (doc if not len(doc) or doc[-1] == eos else [*doc, eos])]
    for start in range(0, len(total) - seq_len + 1, seq_len):
        yield total[start : start + seq_len]


@known_wrong(
    "pack",
    en="A document that ends in the end token already got a second one.",
    zh="已经以结束符结尾的文档又被加了一个结束符。",
)
def two_ends(docs, seq_len, eos):
    if seq_len < 1:
        raise ValueError("seq_len")
    left = []
    for doc in docs:
        left = [*left, *doc, eos] if len(doc) else left
        while len(left) >= seq_len:
            yield left[:seq_len]
            left = left[seq_len:]


@known_wrong(
    "pack",
    en="An empty document got an end token of its own: pass it over.",
    zh="空文档也得到了一个结束符：应跳过它。",
)
def ends_of_nothing(docs, seq_len, eos):
    if seq_len < 1:
        raise ValueError("seq_len")
    left = []
    for doc in docs:
        left = [*left, *doc] if len(doc) and doc[-1] == eos else [*left, *doc, eos]
        while len(left) >= seq_len:
            yield left[:seq_len]
            left = left[seq_len:]


@known_wrong(
    "to_messages",
    en="You stripped the contents. Spaces and line breaks belong to what was said: code and poems "
    "depend on them.",
    zh="你去掉了内容首尾的空白。空格和换行也是内容的一部分：代码和诗都离不开它们。",
)
def stripped(conversation):
    return [turn | {"content": turn["content"].strip()} for turn in to_messages(conversation)]


@known_wrong(
    "to_messages",
    en="A blank input still leaves its line break behind the instruction: add both only where "
    "there is something to add.",
    zh="输入为空时，指令后面仍多出一个换行：只有真有输入时才把二者一起加上。",
)
def line_break_of_nothing(conversation):
    if "instruction" in conversation and not (conversation.get("input") or "").strip():
        conversation = conversation | {"instruction": conversation["instruction"] + "\n"}
    return to_messages(conversation)


@known_wrong(
    "to_messages",
    en="The input of an Alpaca record is left out: it belongs to what the user asks.",
    zh="Alpaca 记录的 input 被丢掉了：它是用户提问的一部分。",
)
def input_lost(conversation):
    return to_messages({key: value for key, value in conversation.items() if key != "input"})


@known_wrong(
    "to_messages",
    en="The history of an Alpaca record is left out: those turns come before the instruction.",
    zh="Alpaca 记录的 history 被丢掉了：那些轮次应排在指令之前。",
)
def history_lost(conversation):
    return to_messages({key: value for key, value in conversation.items() if key != "history"})


@known_wrong(
    "to_messages",
    en="A system line that stands beside the turns is lost: it comes first.",
    zh="写在轮次旁边的系统提示丢了：它应排在最前。",
)
def system_lost(conversation):
    return to_messages({key: value for key, value in conversation.items() if key != "system"})


@known_wrong(
    "to_messages",
    en="The order of the turns is not checked: two answers in a row, or a conversation that the "
    "assistant begins, would be trained on as they are.",
    zh="你没有检查轮次的顺序：连续两个回答、由助手开头的对话，都会原样进入训练。",
)
def order_unchecked(conversation):
    turns = conversation.get("messages")
    if turns is None or "system" in conversation:
        return to_messages(conversation)
    for number, turn in enumerate(turns):
        if turn["role"] not in ("system", "user", "assistant"):
            raise ValueError(f"turn {number}: role")
        if not isinstance(turn["content"], str):
            raise ValueError(f"turn {number}: content")
    if not any(turn["role"] == "user" for turn in turns):
        raise ValueError("no user")
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]


@known_wrong(
    "to_messages",
    en="The system line is put into the caller's own list, where it stands twice the next time. "
    "Make a list of your own.",
    zh="系统提示被加进了调用者自己的列表，下次就会出现两遍。应另建一个列表。",
)
def put_into_the_callers_list(conversation):
    plain = to_messages(conversation)
    if "messages" in conversation and plain[0] not in conversation["messages"]:
        conversation["messages"].insert(0, plain[0])
    return plain


@known_wrong(
    "to_messages",
    en="Further keys of a message came through: only role and content belong to it.",
    zh="消息里多余的键也被带了出来：只应保留 role 和 content。",
)
def further_keys(conversation):
    plain = to_messages(conversation)
    if "messages" not in conversation or "system" in conversation:
        return plain
    return [old | new for old, new in zip(conversation["messages"], plain, strict=True)]
