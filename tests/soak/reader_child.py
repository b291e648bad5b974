"""Carry out many calls of the readers that the project starts a process for, in one process, until a file ends it.

Standard input and output are pickles: a script, its arguments and standard input come in; its exit code, its standard
output and the seconds of CPU time that it took go out.
"""

import io
import pickle
import sys
import time
from functools import cache
from pathlib import Path

CALLS, ANSWERS = sys.stdin.buffer, sys.stdout.buffer


@cache
def program(script):
    return compile(Path(script).read_bytes(), script, "exec")


def called(script, arguments, content):
    """Run a script as `python script arguments` would; every failure is exit code 1."""
    sys.argv, sys.stdin = [script, *arguments], io.TextIOWrapper(io.BytesIO(content))
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    began, code = time.process_time(), 0
    try:
        exec(program(script), {"__name__": "__main__"})
    except BaseException:  # noqa: BLE001 - calamine panics with an exception of its own
        code = 1
    sys.stdout.flush()
    return code, sys.stdout.buffer.getvalue(), time.process_time() - began


def main():
    """Answer calls until there are no more."""
    while True:
        try:
            call = pickle.load(CALLS)
        except EOFError:
            break
        pickle.dump(called(*call), ANSWERS)
        ANSWERS.flush()


if __name__ == "__main__":
    main()
