"""The prompt client waits for a kernel as long as it takes, and no longer."""

import asyncio
import os
import sys
import time

import pytest
from jupyter_client.kernelspec import KernelSpec

from cxreport.publish.kernels.client import PromptClient, PromptManager

LATE = """
import runpy, sys, time
time.sleep({})
sys.argv[:1] = []
runpy.run_module("ipykernel_launcher", run_name="__main__")
"""


@pytest.fixture
def ready(tmp_path):
    """Return a function that starts a kernel by a command, and returns what it printed once it was ready."""

    async def start(argv, patience):
        manager = PromptManager(connection_file=str(tmp_path / "kernel.json"), transport="ipc")
        manager._kernel_spec = KernelSpec(argv=[sys.executable, *argv], display_name="", language="python")
        await manager.start_kernel(env=os.environ | {"IPYTHONDIR": str(tmp_path)})
        client = manager.client()
        assert isinstance(client, PromptClient)
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=patience)
            heard = []
            await client.execute_interactive("print('heard')", output_hook=heard.append, timeout=10)
            return [message["content"]["text"] for message in heard if message["msg_type"] == "stream"]
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)

    return lambda argv, patience=60: asyncio.run(start(argv, patience))


def test_first_result_is_heard(ready):
    """What a kernel prints in its first cell arrives, since the channel was open before."""
    assert ready(["-m", "ipykernel_launcher", "-f", "{connection_file}"]) == ["heard\n"]


def test_slow_kernel_is_waited_for(ready):
    """A kernel that opens its channels after some requests have gone out is asked again."""
    assert ready(["-c", LATE.format(1.5), "ipykernel_launcher", "-f", "{connection_file}"]) == ["heard\n"]


def test_dead_kernel_is_not_waited_for(ready):
    """A kernel that ends before it answers is an error long before the time is over."""
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="died"):
        ready(["-c", "raise SystemExit(1)"])
    assert time.monotonic() - begun < 30


def test_silent_kernel_is_given_up(ready):
    """A process that never answers is given up after the time that was asked for."""
    with pytest.raises(RuntimeError, match=r"not ready in 0\.5 seconds"):
        ready(["-c", "import time; time.sleep(60)"], patience=0.5)
