"""Every example in the docstrings of happyllm.pipeline and happyllm.alignment runs."""

import doctest
import importlib
import pkgutil

import pytest

import happyllm.alignment
import happyllm.pipeline

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (happyllm.pipeline, happyllm.alignment)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
