"""The authors' numbers."""

import pytest

from tests.authors_numbers import numbers


@pytest.fixture(scope="session")
def golden():
    return numbers("dim_tf1_small.npz")
