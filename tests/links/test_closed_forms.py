"""The formulas of tests/closed_forms: their examples are true."""

import doctest
import importlib
import pkgutil

import closed_forms
import pytest

MODULES = [each.name for each in pkgutil.iter_modules(closed_forms.__path__, "closed_forms.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_closed_forms_are_true(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


def test_there_are_closed_forms_with_examples():
    assert len(MODULES) > 10
    found = doctest.DocTestFinder().find(importlib.import_module("closed_forms.training"))
    assert sum(len(each.examples) for each in found) > 3
