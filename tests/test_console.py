"""What commands show while they work: live, as lines, as objects, or nothing."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from cxreport.console import Output
from cxreport.errors import GateError
from cxreport.publish.progress import Event

BEGUN = Event("30_page", "north", "begun", done=1, of=4)
MADE = Event("30_page", "north", "made", done=2, of=4, seconds=1.234, left=125.4)
KEPT = Event("30_page", "", "kept", done=3, of=4)
STOP = GateError(found="no rows", expected="rows", do="wait")


def speak(output):
    with output.errors():
        with output.telling() as tell:
            for told in ("Reading the files", BEGUN, MADE, KEPT):
                tell(told)
        output.result("a page", state="published", html="a page")
        raise STOP


def without_instants(lines):
    return [re.sub(r"^at=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in lines.splitlines()]


def test_unattended_each_step_is_a_line_with_the_instant(capsys):
    """Keys and values on the standard error, the result on the standard output; errors are raised."""
    with pytest.raises(GateError):
        speak(Output())
    out, err = capsys.readouterr()
    assert out == "a page\n"
    assert without_instants(err) == [
        'message="Reading the files"',
        "state=made step=30_page audience=north seconds=1.23 done=2 of=4 left=125",
        "state=kept step=30_page audience=all done=3 of=4",
    ]


def test_quiet_prints_nothing(capsys):
    """What stops a run is raised all the same."""
    with pytest.raises(GateError):
        speak(Output(quiet=True))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_as_json_everything_is_an_object_a_line(capsys, quiet):
    """Steps, the result and what stopped the run, whose exit code stays."""
    with pytest.raises(SystemExit) as ended:
        speak(Output(quiet, as_json=True))
    assert ended.value.code == STOP.exit_code
    out, err = capsys.readouterr()
    assert err == ""
    told = [json.loads(line) for line in out.splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each.pop("at")) for each in told)
    steps = [
        {"message": "Reading the files"},
        {"state": "made", "step": "30_page", "audience": "north", "seconds": 1.23, "done": 2, "of": 4, "left": 125},
        {"state": "kept", "step": "30_page", "audience": "all", "done": 3, "of": 4},
    ]
    ends = [
        {"state": "published", "html": "a page"},
        {"state": "error", "found": "no rows", "expected": "rows", "do": "wait"},
    ]
    assert told == (ends if quiet else steps + ends)


def test_terminal_shows_steps_live(tmp_path):
    """Texts are not taken for markup; the steps of a run are one bar with what is left."""
    script = (
        "from cxreport.console import Output\nfrom cxreport.publish.progress import Event\n"
        "with Output().telling() as tell:\n    tell('[bold]one')\n    tell('two')\n"
        f"    tell({BEGUN!r})\n    tell({MADE!r})\n"
    )
    terminal, end = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", script], stderr=end, env=environment, cwd=tmp_path, check=True)
    os.close(end)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(terminal, 65536).decode())
    os.close(terminal)
    assert done.returncode == 0
    assert all(text in shown for text in ("[bold]one", "two", "30_page for north", "2 of 4, about 2 min left"))
