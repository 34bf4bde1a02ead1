"""TinyTales: a corpus made up on the spot, small enough to learn and true enough to be asked about.

Read the files in this order: world (what happens), language with english and chinese (how it is
told), story, corpus (what is trained on, and what is kept for the test).
"""

from happyllm.data.tinytales.corpus import Mix, Sizes, is_exact, records, write_corpus
from happyllm.data.tinytales.story import Question, Story, make_story
from happyllm.data.tinytales.world import Dice, TaleConfig, is_held_out

__all__ = [
    "Dice",
    "Mix",
    "Question",
    "Sizes",
    "Story",
    "TaleConfig",
    "is_exact",
    "is_held_out",
    "make_story",
    "records",
    "write_corpus",
]
