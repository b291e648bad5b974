"""A kernel provisioner of `jupyter_client` that forks kernels from a warm parent, or says why it does not."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Int, List, Unicode

from cxreport.publish.kernels import confine, owner
from cxreport.publish.kernels.child import Wish

_OWN_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}
_LAUNCHERS = {"ipykernel", "ipykernel_launcher"}
# How long the end of a killed kernel is waited for, in seconds; longer only where it hangs in the system.
_DEATH = 2.0


class WarmProvisioner(LocalProvisioner):  # type: ignore[misc,unused-ignore]
    """Provisions kernels as `LocalProvisioner` does, but forked where that is safe, and within limits.

    The settings come from the kernel specification: `metadata.kernel_provisioner.config`.

    Attributes
    ----------
    imports
        Modules that the warm parent imports. Those that look for IPython or start threads when they are imported
        are better left to the notebook.
    varying
        Variables that the modules do not read at import although their names begin with a package's.
    network, memory_mb, readable, writable, listed
        What kernels may do; see `confine.Limits`. Relative paths count from the kernel's folder. The folder of the
        connection file is always writable, and Python's own folders are readable.
    fallback
        Why the kernel is an ordinary one; empty for a forked one.
    unconfined
        Of the limits asked for, those that do not hold here, and why.
    exit_code
        How the last kernel ended, negative for a signal's number; `None` while it runs.
    """

    imports = List(Unicode(), config=True)
    varying = List(Unicode(), config=True)
    network = Bool(default_value=True, config=True)
    memory_mb = Int(None, allow_none=True, config=True)
    readable = List(Unicode(), default_value=None, allow_none=True, config=True)
    writable = List(Unicode(), default_value=None, allow_none=True, config=True)
    listed = List(Unicode(), config=True)

    def __init__(self, **settings: Any) -> None:
        known = set(self.trait_names())
        if unknown := sorted(set(settings) - known):
            names = ", ".join(sorted(self.trait_names(config=True)))
            raise TypeError(f"unknown settings of a warm kernel: {', '.join(unknown)}; known are {names}")
        super().__init__(**settings)
        self.fallback = ""
        self.unconfined: Mapping[str, str] = {}
        self.exit_code: int | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Launch a kernel and return its connection information.

        Raises `FileNotFoundError` when a file or folder of the limits does not exist.
        """
        limits = self._limits(cmd, Path(kwargs.get("cwd") or Path.cwd()))
        self.exit_code = None
        kwargs["env"] = kwargs["env"] | self._settings_under(limits)
        forked, self.fallback = await self._forked(cmd, limits, kwargs)
        if forked is None:
            self.log.warning("Starting an ordinary kernel: %s", self.fallback)
            return await super().launch_kernel(confine.command(limits, cmd), **kwargs)
        self.process = forked  # type: ignore[assignment,unused-ignore]  # it has what is used of a Popen
        self.pid, self.pgid = forked.pid, None  # signals reach the group through the parent
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info

    async def poll(self) -> int | None:
        """Return nothing while the kernel runs, then its exit code."""
        code: int | None = await super().poll()
        if self.process is not None:
            self.exit_code = code
        return code

    async def wait(self) -> int | None:
        """Return the exit code when the kernel has ended."""
        while await self.poll() is None:
            await _moment()
        code: int | None = await super().wait()
        return code

    async def kill(self, restart: bool = False) -> None:
        """End the kernel at once, and see it end: managers look only ten times a second."""
        await super().kill(restart)
        end = time.monotonic() + _DEATH
        while await self.poll() is None and time.monotonic() < end:
            await _moment()

    async def _forked(
        self, cmd: list[str], limits: confine.Limits, asked: Mapping[str, Any]
    ) -> tuple[owner.Forked | None, str]:
        """Return a forked kernel, or nothing and why."""
        options = _options(cmd)
        if reason := owner.unsupported() or _unforkable(cmd, options, asked):
            return None, reason
        folder = str(asked.get("cwd") or Path.cwd())
        environment = dict(asked["env"]) | {"JPY_PARENT_PID": str(os.getpid())}
        try:
            parent = owner.warm(owner.Setting.of(cmd[:options], self.imports, folder, environment, self.varying))
            while parent.refusal is None:
                await _moment()
            if parent.refusal:
                return None, parent.refusal
            wish = Wish(
                command=cmd,
                options=options,
                folder=folder,
                environment=environment,
                umask=_umask(),
                limits=asdict(limits),
            )
            with ExitStack() as opened:
                return parent.fork(wish, **_streams(asked, opened)), ""
        except OSError as error:
            return None, f"forking failed: {error}"

    def _limits(self, cmd: Sequence[str], folder: Path) -> confine.Limits:
        limits, self.unconfined = confine.possible(
            confine.Limits(
                self.network, self.memory_mb, _absolute(self.readable, folder), _absolute(self.writable, folder)
            )
        )
        if not limits.network and self.connection_info.get("transport") == "tcp":
            limits = replace(limits, network=True)
            self.unconfined = {**self.unconfined, "network": "the kernel is reached through TCP ports; use `ipc`"}
        for name, reason in self.unconfined.items():
            self.log.warning("No limit of %s: %s", name, reason)
        if not limits.of_files:
            return limits
        python = {sys.prefix, sys.base_prefix, *_environment_of(cmd[0])}
        return replace(
            limits,
            readable=(*(limits.readable or ()), *sorted(python)),
            writable=(*(limits.writable or ()), self._private_folder()),
            listed=tuple(str(Path(place).absolute()) for place in (*sys.path, *self.listed)),
        )

    def _settings_under(self, limits: confine.Limits) -> dict[str, str]:
        """Return the variables that let programs live within limits."""
        folder = {"TMPDIR": self._private_folder()} if limits.of_files else {}  # /tmp is out of reach
        # Else pyarrow's allocator takes a GiB in advance, which counts although it stays unused; in KiB.
        memory = {"MIMALLOC_ARENA_RESERVE": "65536"} if limits.memory_mb is not None else {}
        return folder | memory

    def _private_folder(self) -> str:
        """Return the folder of the connection file, beside which lie the sockets."""
        manager: Any = self.parent
        return str(Path(manager.connection_file).absolute().parent)


async def _moment() -> None:
    await asyncio.sleep(owner.TICK)


def _options(cmd: Sequence[str]) -> int:
    """Return how many words of a command are the interpreter and its options, before `-m`."""
    return cmd.index("-m") if "-m" in cmd else len(cmd)


def _unforkable(cmd: Sequence[str], options: int, asked: Mapping[str, Any]) -> str:
    """Return why a command, or what was asked of its process, needs a process of its own, or nothing."""
    if not _LAUNCHERS.intersection(cmd[options + 1 : options + 2]):
        return "the kernel's command does not run ipykernel as a module"
    if asked.get("independent"):
        return "it shall outlive the process that starts it"
    known = {*_OWN_STREAMS, "cwd", "env", "independent", "kernel_id"}
    if unknown := sorted(set(asked) - known):
        return f"a forked process takes no {', '.join(unknown)}"
    if piped := [name for name in _OWN_STREAMS if asked.get(name) == subprocess.PIPE]:
        return f"a forked process has no pipe for {', '.join(piped)}"
    return ""


def _streams(asked: Mapping[str, Any], opened: ExitStack) -> dict[str, int]:
    """Return descriptors for the standard streams: those asked for, else an empty input and the owner's outputs."""
    streams: dict[str, int] = {}
    for name, own in _OWN_STREAMS.items():
        wanted = asked.get(name)
        if wanted == subprocess.STDOUT:
            streams[name] = streams["stdout"]
        elif wanted == subprocess.DEVNULL:
            streams[name] = os.open(os.devnull, os.O_RDWR)
            opened.callback(os.close, streams[name])
        elif wanted is None and name == "stdin":
            streams[name], writer = os.pipe()
            os.close(writer)
            opened.callback(os.close, streams[name])
        elif wanted is None:
            streams[name] = own
        else:
            streams[name] = wanted if isinstance(wanted, int) else wanted.fileno()
    return streams


def _umask() -> int:
    """Return this process's file mode mask without changing it for an instant, which other threads would see."""
    found = re.search(r"^Umask:\s+(\d+)$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1], 8) if found else 0o077


def _absolute(paths: Sequence[str] | None, folder: Path) -> tuple[str, ...] | None:
    """Return paths from the kernel's folder; raises `FileNotFoundError` for one that leads nowhere."""
    return (
        None if paths is None else tuple(str((folder / Path(path).expanduser()).resolve(strict=True)) for path in paths)
    )


def _environment_of(executable: str) -> list[str]:
    """Return the folder of the environment that a Python program belongs to, as far as its path tells."""
    path = Path(executable)
    return [str(path.absolute().parent.parent)] if path.parent.name in {"bin", "Scripts"} else []
