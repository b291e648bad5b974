"""What a forked process does to become an ordinary kernel: its streams, settings, chance and limits."""

import ctypes
import json
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from cxreport.publish.kernels import confine

_PR_SET_PDEATHSIG = 1


class Wish(TypedDict):
    """What the owner asks for a kernel, as JSON in the request's file."""

    command: list[str]
    options: int
    folder: str
    environment: dict[str, str]
    umask: int
    limits: dict[str, object]


@dataclass(frozen=True)
class Request:
    """The descriptors that a forked process was given: its wish and its standard streams."""

    wish: int
    stdin: int
    stdout: int
    stderr: int


def become_kernel(request: Request, given: Mapping[str, str]) -> None:
    """Turn this forked process into the kernel that was asked for, and run it to its end.

    Parameters
    ----------
    given
        The parent's environment before its imports.
    """
    parent = os.getppid()
    os.setsid()
    _take_streams(request)
    with os.fdopen(request.wish, encoding="utf-8") as file:
        wish: Wish = json.load(file)
    _take_settings(wish, given)
    _forget_chance()
    confine.apply(confine.Limits(**wish["limits"]))  # type: ignore[arg-type]
    _end_with(parent)
    sys.orig_argv = wish["command"]
    sys.argv = ["ipykernel_launcher", *wish["command"][wish["options"] + 2 :]]
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)


def _take_streams(request: Request) -> None:
    for standard, given in enumerate((request.stdin, request.stdout, request.stderr)):
        os.dup2(given, standard)
        os.close(given)


def _take_settings(wish: Wish, given: Mapping[str, str]) -> None:
    # Imports set variables too: those that nobody had set, and those that they always set.
    by_imports = {name: text for name, text in os.environ.items() if given.get(name) != text}
    always = {name: text for name, text in by_imports.items() if name in given}
    os.environ.clear()
    os.environ.update(by_imports | wish["environment"] | always)
    os.umask(wish["umask"])
    os.chdir(wish["folder"])
    if not sys.flags.safe_path:
        sys.path[0] = str(Path.cwd())
    # What imports may have derived from the parent's environment.
    time.tzset()
    tempfile.tempdir = None


def _forget_chance() -> None:
    """Draw chance anew where a module keeps state from before the fork; `random` does so itself."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if process := sys.modules.get("multiprocessing.process"):
        process.current_process().authkey = os.urandom(32)


def _end_with(parent: int) -> None:
    """Let the system kill this process when its parent ends; comes after confinement, which takes this back."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
