"""Every example in the docstrings of happyllm.data runs, and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import happyllm.data

MODULES = [
    module.name
    for module in pkgutil.walk_packages(happyllm.data.__path__, "happyllm.data.")
    if module.name.rpartition(".")[2] not in ("english", "chinese", "language", "tinytales")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
