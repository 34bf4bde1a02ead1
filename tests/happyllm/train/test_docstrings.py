"""Every example in the docstrings of happyllm.train runs, and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import happyllm.train

MODULES = [module.name for module in pkgutil.iter_modules(happyllm.train.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(f"happyllm.train.{name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
