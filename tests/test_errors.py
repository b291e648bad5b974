"""Errors say what was found, what was expected and what to do."""

import pickle

from cxreport.errors import CxError, DefinitionError, GateError, RunError, UsageError, listed, nearest


def test_message_has_three_lines():
    """The text of an error is its found, expected and do lines."""
    error = UsageError(found="report `x`", expected="one of `a`", do="name one")
    assert str(error) == "found: report `x`\nexpected: one of `a`\ndo: name one"


def test_exit_codes_tell_wrong_use_from_a_stop():
    """Wrong use and wrong definitions end with 2; gates and failures end with 1."""
    assert {kind.exit_code for kind in (UsageError, DefinitionError)} == {2}
    assert {kind.exit_code for kind in (GateError, RunError)} == {1}


def test_errors_survive_a_process_boundary():
    """An error pickled in a worker arrives with its class and its three parts."""
    error = pickle.loads(pickle.dumps(GateError(found="a", expected="b", do="c")))
    assert isinstance(error, GateError)
    assert isinstance(error, CxError)
    assert (error.found, error.expected, error.do) == ("a", "b", "c")


def test_nearest_names_a_close_option_only():
    """A slip is recognised, also in case; a different word is not."""
    assert nearest("Regoin", ["region", "plan"]) == ", did you mean `region`?"
    assert nearest("zzz", ["region", "plan"]) == ""


def test_listed_sorts_and_says_nothing_when_empty():
    """Options are listed in a fixed order."""
    assert listed({"b", "a"}) == "`a`, `b`"
    assert listed([]) == "nothing"
