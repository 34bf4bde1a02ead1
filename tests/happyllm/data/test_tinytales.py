import itertools
import json
import os
import re
from dataclasses import replace

import pytest

from happyllm.data import iter_jsonl, to_messages
from happyllm.data.tinytales import (
    Dice,
    Mix,
    Sizes,
    TaleConfig,
    is_exact,
    is_held_out,
    make_story,
    records,
    write_corpus,
)
from happyllm.data.tinytales.corpus import PARTS
from happyllm.data.tinytales.story import LANGUAGES
from happyllm.data.tinytales.world import ITEMS, KINDS, THINGS, UNASKED, World

LANGS = pytest.mark.parametrize("lang", ["en", "zh"])
SMALL = Sizes(pretrain=60, sft=60, eval_text=10, eval_questions=20)


def stories(lang, n=300, **config):
    dice = Dice(f"test {lang} {config}")
    sizes = ((1, 4), (2, 7), (3, 9), (4, 16))
    for i in range(n):
        people, events = sizes[i % 4]
        given = {"n_people": people, "n_events": events, "level": 1 + i % 3} | config
        yield make_story(dice, lang, TaleConfig(questions_per_story=64, **given))


@LANGS
def test_a_seed_is_a_story(lang):
    assert make_story(5, lang) == make_story(5, lang)
    assert make_story(5, lang) != make_story(6, lang)


def test_the_stories_of_a_seed_are_those_they_always_were():
    """Written down once: another platform or Python must not make another corpus."""
    config = TaleConfig(n_people=2, n_events=4, level=2)
    assert make_story(1, "en", config).text == EN_1
    assert make_story(1, "zh", config).text == ZH_1


EN_1 = (
    "It was the first day of spring. Anna ran to the school. She found a yellow ball "
    "at the school. “I like cake,” said Anna. Nora walked to the park to sing a song."
)
ZH_1 = (
    "一阵微风吹过。小红跑到学校。她在学校里找到了一个皮球，是黄色的。“我喜欢吃蛋糕。”她说。"
    "圆圆想唱歌，就去了公园。"
)


@LANGS
def test_the_knobs_say_how_large_a_story_is(lang):
    for people, events, asked in ((1, 1, 1), (2, 5, 3), (4, 16, 30)):
        config = TaleConfig(people, events, asked, level=3)
        for seed in range(20):
            story = make_story(seed, lang, config)
            assert len(story.people) == people
            assert len(story.questions) <= asked
            assert len([f for f in story.facts if f[0] not in ("at", "has", "colour")]) == events


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("n_people", 0), ("n_people", 5), ("n_events", 1), ("n_events", 17), ("level", 4)),
        *(("questions_per_story", 0), ("pronouns", 1.5)),
    ],
)
def test_a_knob_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field}={value} must be"):
        TaleConfig(**{field: value})


def test_a_knob_of_another_type_is_refused_by_name():
    with pytest.raises(TypeError, match="level='2' must be a number"):
        TaleConfig(level="2")


def test_another_language_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="lang='fr' must be one of en, zh"):
        make_story(1, "fr")


@LANGS
def test_no_question_of_a_story_has_two_answers(lang):
    for story in stories(lang):
        answers = {}
        for question in story.questions:
            assert answers.setdefault(question.text, question.answer) == question.answer, story


def told(world):
    """What is true at the end, by going through the events once more."""
    place, holder, spot, number = {}, {}, {}, {}
    for event in world.events:
        if event.kind == "go":
            place[event.who] = event.place
        elif event.kind == "find":
            holder[event.thing] = event.who
        elif event.kind == "give":
            assert holder[event.thing] == event.who
            assert place[event.other] == event.place
            holder[event.thing] = event.other
        elif event.kind == "put":
            assert holder.pop(event.thing) == event.who
            spot[event.thing] = event.extra
        elif event.kind == "collect":
            number[event.who, event.thing] = event.amount
        elif event.kind == "eat":
            number[event.who, event.thing] -= event.amount
            assert number[event.who, event.thing] > 0
        elif event.kind == "meet":
            assert place[event.other] == event.place
        assert place[event.who] == event.place
    return place, holder, spot, number


@LANGS
def test_every_answer_is_what_happened(lang):
    tongue = LANGUAGES[lang]
    dice = Dice(11)
    kinds = set()
    for i in range(400):
        world = World(dice, TaleConfig(1 + i % 4, 6 + i % 9, 64, level=1 + i % 3))
        place, holder, spot, number = told(world)
        names = [tongue.names[p] for p in world.cast]
        for ask in world.asks():
            _, answer = tongue.question(ask, world, dice)
            kinds.add(ask.kind)
            event = ask.event
            if ask.kind == "where_now":
                where = tongue.at[place[event.who]]
                said = {"en": f"{names[event.who]} is {where}", "zh": f"{names[event.who]}{where}"}
                assert is_exact(answer, said[lang])
            elif ask.kind == "who_has":
                assert is_exact(answer, names[holder[event.thing]])
            elif ask.kind == "where_put":
                assert tongue.spots[spot[event.thing]] in answer.lower()
            elif ask.kind == "where_held":
                assert is_exact(answer, tongue.at[place[holder[ask.earlier.thing]]])
            elif ask.kind == "how_many_left":
                left = tongue.numbers[number[event.who, event.thing]]
                assert answer.lower().startswith(left)
            elif ask.kind == "who_at":
                assert [p for p, at in place.items() if at == event.place] == [event.who]
                assert is_exact(answer, names[event.who])
            elif ask.kind in ("who_found", "who_gave", "who_saw", "who_collected", "who_put"):
                assert is_exact(answer, names[event.who])
            elif ask.kind == "what_next":
                between = world.events[world.events.index(ask.earlier) + 1 :]
                following = [e for e in between if e.who == event.who]
                assert next(e for e in following if e.kind not in ("like", "feel")) is event
    assert kinds == set(tongue.questions)


@LANGS
def test_every_answer_can_be_read_off_the_story(lang):
    """A name, place, colour or thing of an answer stands in the story; only sums do not."""
    for story in stories(lang):
        for question in story.questions:
            if question.kind in ("how_many_left", "why_go", "what_next", "where_next"):
                continue
            if lang == "zh" and question.kind in ("where_now", "who_at", "where_held"):
                continue  # 去了公园 -> 在公园里
            bare = question.answer.rstrip(".。").lower()
            words = re.findall(r"\w+", bare) if lang == "en" else [bare.removesuffix("的")[-2:]]
            small = {"in", "at", "on", "the", "a", "because", "to", "it", "is", "likes", "with"}
            for word in words:
                assert word in small or word in story.text.lower(), (story.text, question)


@LANGS
def test_no_word_is_left_unfilled_and_no_sentence_unfinished(lang):
    for story in stories(lang):
        spoken = [story.title, story.text, story.retold]
        spoken += [q.text + q.answer for q in story.questions]
        for text in spoken:
            assert text
            assert not re.search(r"[{}]|  |None", text)
        assert re.search(r"[.!?。！？”]$", story.text)
        assert not story.text.startswith(LANGUAGES[lang].later)
        if lang == "zh":
            everything = "".join(spoken)
            assert not re.search(r"[A-Za-z ]|二个|(?<!现)在在|了了|。。", everything)
        else:
            assert story.text.isascii() or set(re.sub(r"[\x00-\x7f]", "", story.text)) <= set("“”")
            assert not re.search(r"\ba [aeiou]", story.text)


@LANGS
def test_the_vocabulary_is_a_few_hundred_words(lang):
    text = " ".join(
        record["text"] for record in itertools.islice(records("pretrain", lang, 0), 3000)
    )
    words = set(re.findall(r"\w+", text.lower())) if lang == "en" else set(text)
    assert 200 < len(words) < 600


def test_measure_words_fit_what_they_count():
    tongue = LANGUAGES["zh"]
    for key in (*THINGS, *ITEMS):
        assert tongue.measures[key]
    text = "".join(
        record["text"] for record in itertools.islice(records("pretrain", "zh", 0), 1500)
    )
    for good in (
        "一顶帽子，是红色的",
        "一匹马",
        "一条狗",
        "采了花，一共三朵",
        "一把",
        "捡了树叶，一共两片",
    ):
        assert good in text
    assert not re.search(r"一个(马|狗|猫)|花，一共.个|树叶，一共.个", text)


@LANGS
def test_every_template_and_word_is_told(lang):
    tongue = LANGUAGES[lang]
    assert set(tongue.tell) == {kind for level in KINDS for kind, _ in level} | {"go for"}
    text = "".join(s.text + s.retold for s in stories(lang, 1500))
    for name in tongue.names:
        assert name in text
    for key in THINGS:
        assert tongue.words.get(key, key) in text


@LANGS
def test_training_never_meets_a_combination_of_the_test(lang):
    trained, held = set(), set()
    for seed in range(400):
        config = TaleConfig(1, 2, level=1)  # small enough for combinations to come again
        trained.add(make_story(seed, lang, config).combination)
        held.add(make_story(seed, lang, config, held_out=True).combination)
    assert not trained & held
    assert not any(map(is_held_out, trained))
    assert all(map(is_held_out, held))


def test_about_one_combination_in_sixteen_is_held_out():
    share = sum(is_held_out(f"p{i}|park|ball") for i in range(4000)) / 4000
    assert 0.05 < share < 0.08


@LANGS
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_corpus_is_the_same_for_the_same_seed(lang, part):
    def some(seed):
        return list(itertools.islice(records(part, lang, seed), 20))

    assert some(3) == some(3)
    assert some(3) != some(4)


@LANGS
def test_conversations_are_what_the_chat_takes(lang):
    kinds = set()
    for record in itertools.islice(records("sft", lang, 0), 400):
        assert to_messages(record) == record["messages"]
        assert record["messages"][0]["role"] == "system"
        assert record["messages"][-1]["role"] == "assistant"
        kinds.add(record["kind"])
    assert kinds == {"questions", "write", "facts", "talk"}


@LANGS
def test_who_asks_for_a_story_can_ask_about_it_and_for_another(lang):
    alone = Mix(conversations=(0, 1, 0, 0))
    stories = []
    for record in itertools.islice(records("sft", lang, 0, alone), 50):
        answers = [m["content"] for m in record["messages"] if m["role"] == "assistant"]
        told = [one for one in answers if len(one) > 3 * len(min(answers, key=len))]
        assert len(answers) >= 2
        assert answers[0] in told
        stories.append(len(told))
    assert 1 in stories
    assert max(stories) >= 2


@LANGS
def test_what_is_asked_and_not_said_is_nowhere_in_the_story(lang):
    tongue, ways = LANGUAGES[lang], set()
    for i in range(400):
        world = World(Dice(i), TaleConfig(1 + i % 4, 4 + i % 9, level=1 + i % 3))
        ask, stranger = world.unanswerable(Dice(f"{i} unknown"))
        event, of_things = ask.event, ask.kind not in {one for one, _ in UNASKED.values()}
        assert stranger not in world.cast
        if event.who < len(world.cast):
            ways.add("nothing of the kind")
            assert all((e.kind, e.who) != (event.kind, event.who) for e in world.events)
        elif of_things:
            ways.add("a thing")
            assert all(event.thing not in (e.thing, e.extra) for e in world.events)
        else:
            ways.add("a stranger")
        text = tongue.unanswerable(world, Dice(f"{i} unknown"))
        if not of_things:
            who = [*world.cast, stranger][event.who]
            assert tongue.names[who] in text
        if event.kind == "feel":
            assert world.config.level > 1
    assert len(ways) == 3


@LANGS
def test_no_question_that_is_not_answered_is_one_that_is(lang):
    for seed in range(300):
        config = TaleConfig(1 + seed % 4, 4 + seed % 9, 64, level=1 + seed % 3)
        story = make_story(seed, lang, config, unknown=True)
        assert replace(story, unknown=None) == make_story(seed, lang, config)
        assert story.unknown.text not in {question.text for question in story.questions}
        assert story.unknown.answer == LANGUAGES[lang].unknown
        assert "{" not in story.unknown.text


@LANGS
@pytest.mark.parametrize("part", ["sft", "eval_questions"])
def test_the_mix_decides_how_often_it_is_asked_what_is_not_said(lang, part):
    def read(unknown):
        return list(itertools.islice(records(part, lang, 0, Mix(unknown=unknown)), 200))

    def asked(record):
        if part == "sft":
            said = [one["content"] for one in record["messages"][1:]]
            return list(zip(said[::2], said[1::2], strict=True))
        return [(one["question"], one["answer"]) for one in record["questions"]]

    answer = LANGUAGES[lang].unknown
    never, some, always = ([asked(one) for one in read(share)] for share in (0, 0.5, 1))
    counts = [
        sum(a == answer for one in all_of_them for _, a in one)
        for all_of_them in (never, some, always)
    ]
    assert counts[0] == 0
    assert 0.35 * counts[2] < counts[1] < 0.65 * counts[2]
    for one, other in zip(never, always, strict=True):  # all else is as without it
        left = [answered for _, answered in other if answered != answer]
        assert left == [answered for _, answered in one]


def test_a_share_out_of_range_is_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown=1\.5 must be 0 to 1"):
        Mix(unknown=1.5)


def test_the_mix_decides_the_levels():
    mix = Mix(weights=(0, 0, 1))
    levels = {r["level"] for r in itertools.islice(records("eval_questions", "en", 0, mix), 20)}
    assert levels == {3}
    with pytest.raises(ValueError, match="weights"):
        Mix(weights=(0, 0, 0))


@LANGS
def test_a_corpus_is_written_with_what_it_holds(tmp_path, lang):
    folder = write_corpus(tmp_path / "corpus", lang, 7, SMALL)
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    assert (meta["lang"], meta["seed"], meta["sizes"]["sft"]) == (lang, 7, 60)
    assert sorted(os.listdir(folder)) == sorted([*meta["files"], "meta.json"])
    for name, about in meta["files"].items():
        assert len(list(iter_jsonl(folder / name))) == about["records"]
    again = write_corpus(tmp_path / "again", lang, 7, SMALL)
    assert (again / "meta.json").read_bytes() == (folder / "meta.json").read_bytes()


def test_a_corpus_that_is_there_is_not_overwritten_unasked(tmp_path):
    write_corpus(tmp_path, "en", 7, SMALL)
    before = (tmp_path / "sft.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match=r"pretrain\.jsonl is there already"):
        write_corpus(tmp_path, "en", 8, SMALL)
    assert (tmp_path / "sft.jsonl").read_bytes() == before
    write_corpus(tmp_path, "en", 8, SMALL, overwrite=True)
    assert (tmp_path / "sft.jsonl").read_bytes() != before


def test_a_corpus_that_was_interrupted_is_not_said_to_be_complete(tmp_path, monkeypatch):
    def stop(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("happyllm.data.tinytales.corpus.os.fsync", stop)
    with pytest.raises(OSError, match="No space"):
        write_corpus(tmp_path, "en", 7, SMALL)
    assert os.listdir(tmp_path) == []


def test_a_size_below_zero_is_refused_by_name():
    with pytest.raises(ValueError, match="sft=-1"):
        Sizes(sft=-1)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("In the park.", True),
        (" in the park\n", True),
        ("the park", False),
        ("In the parks.", False),
    ],
)
def test_an_answer_is_exact_up_to_case_space_and_full_stop(answer, right):
    assert is_exact(answer, "In the park.") is right


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_wrong_answer_of_a_pair_is_right_for_another_question_of_its_kind(lang):
    for pair in itertools.islice(records("preference", lang, 0), 200):
        story = pair["messages"][-1]["content"]
        assert not is_exact(pair["chosen"], pair["rejected"])
        assert pair["messages"][0]["role"] == "system"
        assert "\n" in story
    one, other = (list(itertools.islice(records("preference", lang, seed), 5)) for seed in (0, 0))
    assert one == other
    held_out = itertools.islice(records("eval_preference", lang, 0), 50)
    trained = {
        p["messages"][-1]["content"] for p in itertools.islice(records("preference", lang, 0), 500)
    }
    assert not trained & {pair["messages"][-1]["content"] for pair in held_out}


def test_stories_too_small_for_a_pair_are_refused():
    mix = Mix(weights=(1, 0, 0), sizes=((1, 1, 1), (2, 4, 7), (3, 6, 9)))
    with pytest.raises(ValueError, match="take more people or events"):
        next(records("preference", "en", 0, mix))


def test_the_mix_decides_what_documents_and_conversations_there_are():
    alone = Mix(documents=(0, 0, 0, 1), conversations=(0, 1, 0, 0))
    assert {r["kind"] for r in itertools.islice(records("sft", "en", 0, alone), 50)} == {"write"}
    plain = [r["text"] for r in itertools.islice(records("pretrain", "en", 0, alone), 50)]
    assert max(text.count("\n") for text in plain) <= 1  # a title at most
    with pytest.raises(ValueError, match="documents="):
        Mix(documents=(1, 1, 1))
