"""Every example in the docstrings of happyllm.tokenizer runs, and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import happyllm.tokenizer

MODULES = [module.name for module in pkgutil.iter_modules(happyllm.tokenizer.__path__)]


@pytest.mark.parametrize("name", [name for name in MODULES if name != "files"])
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(f"happyllm.tokenizer.{name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
