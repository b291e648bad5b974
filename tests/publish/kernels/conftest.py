"""Kernels of every kind for the tests: ordinary ones and forked ones, from one parent for the session."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from cxreport.publish.kernels import owner

NAME = "cxreport-warm"
IMPORTS = ["pandas", "matplotlib.pyplot", "scipy.linalg", "duckdb", "joblib"]


class Running:
    """A kernel that runs code and tells what it printed."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client
        self.provisioner = manager.provisioner

    def run(self, code):
        """Return what code printed on standard output and the name of the error it raised, if any."""
        printed, raised = [], []

        def hear(message):
            content = message["content"]
            printed.append(content["text"] if content.get("name") == "stdout" else "")
            raised.append(content.get("ename", ""))

        self.client.execute_interactive(code, output_hook=hear, stop_on_error=False, timeout=60)
        return "".join(printed) + "".join(raised)


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Return a context manager: a kernel for some settings of its provisioner, or an ordinary one for none."""
    factory = KernelProvisionerFactory.instance(parent=None)
    factory.provisioners[NAME] = EntryPoint(
        NAME, "cxreport.publish.kernels.provisioner:WarmProvisioner", factory.GROUP_NAME
    )

    @contextmanager
    def start(settings=None, *, client=True, transport="ipc", argv=None, cwd=None, **asked):
        folder = tmp_path_factory.mktemp("k")
        (folder / "cwd").mkdir()
        warm = {"kernel_provisioner": {"provisioner_name": NAME, "config": settings}} if settings is not None else {}
        spec = KernelSpec(
            argv=argv or [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            metadata=warm,
        )
        environment = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        environment |= {"IPYTHONDIR": str(folder / "ipython"), "OPENBLAS_NUM_THREADS": "2", "MARK": "of this kernel"}
        # A class of its own, since the manager looks its specification up by name otherwise.
        kind = type("Manager", (KernelManager,), {"kernel_spec": spec})
        manager = kind(connection_file=str(folder / "kernel.json"), transport=transport)
        with ExitStack() as stack:
            stack.callback(manager.context.destroy)
            stack.callback(manager.cleanup_resources)
            manager.start_kernel(env=environment, cwd=str(cwd or tmp_path_factory.getbasetemp()), **asked)
            stack.callback(manager.shutdown_kernel, now=True)
            talker = manager.client()
            if client:
                talker.start_channels()
                stack.callback(talker.stop_channels)
                talker.wait_for_ready(timeout=60)
            yield Running(manager, talker)

    yield start
    owner.close_all()


@pytest.fixture(scope="session")
def imports():
    """Return the modules of the session's parent."""
    return IMPORTS


@pytest.fixture(scope="session")
def warm(start):
    """Return a context manager for a kernel that must be forked, from the session's parent unless told otherwise."""

    @contextmanager
    def warm(imports=IMPORTS, **settings):
        limits = {
            name: settings.pop(name) for name in ("network", "memory_mb", "readable", "writable") if name in settings
        }
        with start({"imports": list(imports)} | limits, **settings) as kernel:
            assert kernel.provisioner.fallback == ""
            yield kernel

    return warm


@pytest.fixture(scope="session")
def facts(start, warm):
    """Return what kernels tell about themselves: one ordinary and two forked ones, the second after a messy one."""
    code = (Path(__file__).parent / "facts.py").read_text(encoding="utf-8")
    told = []
    with start() as kernel:
        told.append(json.loads(kernel.run(code)))
    with warm() as kernel:
        told.append(json.loads(kernel.run(code)))
        kernel.run(MESS)
    with warm() as kernel:
        told.append(json.loads(kernel.run(code)))
    return told


# What must not reach the next kernel.
MESS = """
import builtins, json, locale, os, random, sys, matplotlib.pyplot as plt
builtins.left = json.left = 1
plt.rcParams["font.size"] = 99
plt.figure()
random.seed(1)
os.environ["LEFT"] = "1"
os.chdir("/")
os.umask(0)
locale.setlocale(locale.LC_ALL, "C")
left = 1
"""


@pytest.fixture
def run_module(tmp_path):
    """Return a function that runs a module or script of Python, demands success, and returns what it printed."""

    def run_module(module, *arguments, **variables):
        script = [module] if module.endswith(".py") else ["-m", module]
        result = subprocess.run(
            [sys.executable, *script, *arguments],
            env={name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
            | {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
            | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run_module
