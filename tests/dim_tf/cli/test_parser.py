"""What all commands share."""

from __future__ import annotations

import warnings

import pytest

from dim_tf.cli import parser
from dim_tf.errors import DataError


def test_warnings_are_printed_before_an_error_ends_the_command(capsys):
    with pytest.raises(DataError), parser.print_warnings():
        warnings.warn("why it may be", stacklevel=1)
        raise DataError("it is so")
    assert capsys.readouterr().err == "warning: why it may be\n"
