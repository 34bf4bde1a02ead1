"""Every example in the docstrings of happyllm.llama runs, and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import happyllm.llama

MODULES = [module.name for module in pkgutil.iter_modules(happyllm.llama.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(f"happyllm.llama.{name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
