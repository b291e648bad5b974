"""A client that takes a kernel for ready as soon as it is, for notebooks whose cells take less than the wait."""

import time
from queue import Empty

import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from traitlets import Type

# How soon a channel tries again that the kernel has not opened yet, in milliseconds; ZeroMQ takes ten times as long.
_AGAIN = 10
# How long one request for an answer may take, and its echo on the other channel, which misses what was said before it
# was connected; in seconds.
_PATIENCE, _ECHO = 1.0, 0.05


class PromptClient(AsyncKernelClient):
    """Jupyter's asynchronous client without its pause.

    Jupyter's own waits, once the kernel has answered, until nothing has been said for a fifth of a second. Here it is
    until the kernel is idle, which is the last that it says of an answer.
    """

    def _context_default(self) -> zmq.asyncio.Context:
        context = super()._context_default()
        context.setsockopt(zmq.RECONNECT_IVL, _AGAIN)
        return context

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 (Jupyter's signature)
        """Wait until the kernel answers and is heard; raises `RuntimeError` if it ends or is not so after seconds."""
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while not await self._has_answered():
            if not await self.is_alive():
                raise RuntimeError("the kernel died before it was ready")
            if time.monotonic() > end:
                raise RuntimeError(f"the kernel was not ready in {timeout} seconds")

    async def _has_answered(self) -> bool:
        """Ask the kernel who it is; returns whether it answered on one channel and fell idle on the other."""
        self.kernel_info()
        try:
            reply = await self.shell_channel.get_msg(timeout=_PATIENCE)
            if reply["msg_type"] != "kernel_info_reply":
                return False
            while True:
                told = await self.iopub_channel.get_msg(timeout=_ECHO)
                of_question = told["parent_header"].get("msg_type") == "kernel_info_request"  # this one's or an earlier
                if of_question and told["content"].get("execution_state") == "idle":
                    self._handle_kernel_info_reply(reply)
                    return True
        except Empty:
            return False


class PromptManager(AsyncKernelManager):
    """Jupyter's asynchronous manager with prompt clients, for Papermill's and nbclient's `kernel_manager_class`."""

    client_factory = Type(PromptClient, klass=AsyncKernelClient)
