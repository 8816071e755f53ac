"""Profile Memory against a slow NumPy version of its equations."""

from __future__ import annotations

import pytest

from tests import numpy_bags


@pytest.mark.backend
@pytest.mark.parametrize(("use_context", "use_persona"), numpy_bags.USES)
def test_equations(use_context, use_persona):
    query_of = numpy_bags.profile_memory
    numpy_bags.check_equations("profile_memory", query_of, use_context, use_persona)
