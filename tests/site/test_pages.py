"""The pages of the book keep the rules of the review, as written and as built."""

from __future__ import annotations

import re

import pytest
import yaml

from grader import catalogue
from grader.book import pages, review
from grader.cli import reference

from .conftest import DOCS, ROOT

EXERCISES = {exercise.id: exercise.section for exercise in catalogue.load()}


def told(problems):
    found = [str(problem) for problem in problems]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "rule",
    [
        review.parity,
        review.headings,
        review.sections,
        review.blocks,
        review.described,
        review.widgets,
        review.translated,
        review.orphans,
    ],
    ids=lambda rule: rule.__name__,
)
def test_the_pages_keep_the_rule_of(rule):
    told(rule(DOCS))


def test_each_exercise_has_its_card_in_its_section():
    told(review.cards(DOCS, EXERCISES))


@pytest.mark.parametrize(
    "rule",
    [review.dead_links, review.foreign, review.leftovers],
    ids=lambda rule: rule.__name__,
)
def test_the_built_site_keeps_the_rule_of(rule, site):
    told(rule(site))


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without what only MkDocs understands."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def navigation(config):
    def flat(entries):
        for entry in entries:
            target = next(iter(entry.values())) if isinstance(entry, dict) else entry
            yield from flat(target) if isinstance(target, list) else [target]

    text = (ROOT / config).read_text(encoding="utf-8")
    return list(flat(yaml.load(text, Loader)["nav"]))


def test_both_navigations_lead_to_the_same_pages_and_to_all_of_them():
    english, chinese = navigation("mkdocs.yml"), navigation("mkdocs.zh.yml")
    assert english == chinese
    assert sorted(english) == sorted(page.name for page in pages.read(DOCS / "en"))


def test_every_help_text_of_the_command_line_has_its_chinese():
    words = reference.chinese()
    spoken = [text for text in reference.texts() if re.search(r"[a-z]", text)]
    missing = [text for text in spoken if text not in words]
    assert not missing, f"not in {reference.CHINESE.name}: {missing}"


def test_no_chinese_is_kept_for_help_that_is_no_longer_given():
    spoken = set(reference.texts())
    stale = [text for text in reference.chinese() if text not in spoken]
    assert not stale, f"take out of {reference.CHINESE.name}: {stale}"


def test_vendored_files_carry_their_licences():
    for vendor in (DOCS / "shared/assets/vendor", ROOT / "tests/site/vendor"):
        for folder in filter(lambda one: one.is_dir(), vendor.iterdir()):
            assert list(folder.glob("LICENSE*")), f"{folder} has no licence"
