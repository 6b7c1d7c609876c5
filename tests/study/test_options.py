"""The typed options are those of the command line, with its defaults."""

import dataclasses

from study import command_line
from study.options import RunOptions


def test_every_option_of_the_command_line_has_a_type_and_its_default():
    given = vars(command_line.parser().parse_args([]))
    defaults = {item.name: getattr(RunOptions(), item.name) for item in dataclasses.fields(RunOptions)}
    defaults.pop("again")
    assert given.keys() == defaults.keys()
    assert {name: value or None for name, value in given.items()} == {
        name: value or None for name, value in defaults.items()
    }
