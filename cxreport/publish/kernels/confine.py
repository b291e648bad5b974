"""What a kernel may do: no network, so much memory, these files. Each limit holds where the system allows it.

The limits apply to the calling process and to all that it starts, and cannot be taken back. They keep a notebook
from doing harm by accident or by what a library does unasked; they are no wall against an attacker who is root.

As a program, `python confine.py <limits> <command>...` applies limits and becomes the command; `python confine.py
probe` prints which limits hold on this machine. It needs the standard library only.
"""

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

# From linux/sched.h, linux/prctl.h, linux/capability.h, linux/sockios.h, net/if.h and linux/landlock.h.
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_NET_ADMIN, _CAP_SYS_PTRACE, _CAP_SYS_ADMIN = 12, 19, 21
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every processor
_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _TRUNCATE, _IOCTL_DEVICE = (1 << bit for bit in (0, 1, 2, 3, 14, 15))
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
# How many rights each version of Landlock knows: moving files between folders, truncating and devices came later.
_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_SINCE_5 = 16
# What programs need of the system: libraries, time zones, fonts, certificates, processors, chance.
_SYSTEM = (
    *("/bin", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc"),
    *("/run/systemd/resolve", "/sbin", "/sys", "/usr", "/var/cache/fontconfig"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")
_SHARED = ("/dev/shm",)  # noqa: S108 (semaphores and arrays that processes share)
_MEBIBYTE = 1 << 20
_NAMES = ("network", "memory", "files")


@dataclass(frozen=True)
class Limits:
    """What a process may do; the defaults limit nothing.

    Attributes
    ----------
    network
        Whether it reaches any network, this machine's own ports included; Unix sockets always work.
    memory_mb
        Private memory in MiB that it, and each process it starts, may have; `None` for no limit.
    readable, writable
        Files and folders, absolute, that it may read or also change, besides the system's and Python's own, which
        it reads; `None` for both limits no access. Folders count with all they hold.
    listed
        Folders whose names, and those of all they hold, it may list besides, as an import does.
    """

    network: bool = True
    memory_mb: int | None = None
    readable: tuple[str, ...] | None = None
    writable: tuple[str, ...] | None = None
    listed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Limits()

    @property
    def of_files(self) -> bool:
        """Whether access to files is limited."""
        return self.readable is not None or self.writable is not None


def apply(limits: Limits) -> None:
    """Limit this process, which must have one thread only.

    Raises `OSError` where the system refuses a limit or a listed file does not exist.
    """
    if not limits.network:
        _leave_network()
    if limits.memory_mb is not None:
        import resource  # here and below: other systems import this module, too, to hear that they limit nothing

        # Not the address space: libraries reserve many times of it what they use.
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory_mb * _MEBIBYTE,) * 2)
    if limits.of_files:
        _limit_files(limits)


def command(limits: Limits, words: list[str]) -> list[str]:
    """Return a command that applies limits and then becomes the given one."""
    return [sys.executable, "-IS", __file__, json.dumps(asdict(limits)), *words] if limits else words


def possible(limits: Limits) -> tuple[Limits, dict[str, str]]:
    """Return those of the limits that hold on this machine, and for the others why they do not.

    The names are `network`, `memory` and `files`.
    """
    asked = {"network": not limits.network, "memory": limits.memory_mb is not None, "files": limits.of_files}
    if not any(asked.values()):
        return limits, {}
    refused = {name: reason for name, reason in unsupported().items() if reason and asked[name]}
    kept = Limits(
        network=limits.network or "network" in refused,
        memory_mb=None if "memory" in refused else limits.memory_mb,
        readable=None if "files" in refused else limits.readable,
        writable=None if "files" in refused else limits.writable,
        listed=limits.listed,
    )
    return kept, refused


@cache
def unsupported() -> Mapping[str, str]:
    """Return for `network`, `memory` and `files` why the system cannot limit it, or nothing where it can."""
    if sys.platform != "linux":
        return dict.fromkeys(_NAMES, f"{sys.platform} has no such limit")
    probe = subprocess.run([sys.executable, "-IS", __file__, "probe"], capture_output=True, check=True)  # noqa: S603
    answer: dict[str, str] = json.loads(probe.stdout)
    return answer


# --- network ---------------------------------------------------------------------------------------


def _leave_network() -> None:
    """Move to a network of one's own, which has nothing but its own loopback."""
    user, group = os.geteuid(), os.getegid()
    try:
        _call("unshare", _CLONE_NEWNET)
        _raise_loopback()
        _drop_capabilities(_CAP_NET_ADMIN, _CAP_SYS_PTRACE, _CAP_SYS_ADMIN)
    except PermissionError:  # not root: a user namespace, where one is
        _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        _raise_loopback()
        _drop_capabilities(*range(64))
    _forbid_privileges()


def _raise_loopback() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def _drop_capabilities(*capabilities: int) -> None:
    """Give up what would lead back into the network that was left."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    sets = ctypes.create_string_buffer(24)
    _call("capget", header, sets)
    kept = ~sum(1 << capability for capability in capabilities)
    low, high = kept & 0xFFFFFFFF, kept >> 32 & 0xFFFFFFFF
    old = struct.unpack("6I", sets)
    _call(
        "capset", header, struct.pack("6I", *(value & low for value in old[:3]), *(value & high for value in old[3:]))
    )


def _forbid_privileges() -> None:
    """Keep set-user-id programs from giving back what was given up; Landlock wants it too."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


# --- files -----------------------------------------------------------------------------------------


def _limit_files(limits: Limits) -> None:
    version = _landlock_version()
    known = (1 << _RIGHTS_BY_VERSION.get(version, _RIGHTS_SINCE_5)) - 1
    rules = _call("syscall", _CREATE_RULESET, struct.pack("Q", known), ctypes.c_size_t(8), 0)
    system = [path for path in _SYSTEM if Path(path).exists()]
    devices = [path for path in _DEVICES if Path(path).exists()]
    _allow(rules, [*system, *(limits.readable or ())], _READ & known)
    _allow(rules, [path for path in limits.listed if Path(path).is_dir()], _READ_FOLDER)
    _allow(rules, devices, _OF_FILES & known)
    _allow(rules, [path for path in _SHARED if Path(path).exists()] + list(limits.writable or ()), known)
    _forbid_privileges()
    _call("syscall", _RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        fitting = rights if Path(path).is_dir() else rights & _OF_FILES
        _call("syscall", _ADD_RULE, rules, _RULE_PATH_BENEATH, struct.pack("=Qi", fitting, place), 0)
        os.close(place)


def _landlock_version() -> int:
    return _call("syscall", _CREATE_RULESET, None, ctypes.c_size_t(0), _RULESET_VERSION)


# --- the system ------------------------------------------------------------------------------------


def _call(name: str, *arguments: object) -> int:
    """Call a function of the C library; raises the `OSError` that it reports."""
    result: int = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def _probe() -> dict[str, str]:
    """Apply each limit to a process of its own; returns why it cannot be, or nothing, by name."""
    limits = (Limits(network=False), Limits(memory_mb=_MEBIBYTE), Limits(readable=()))
    return {name: _refusal(limit) for name, limit in zip(_NAMES, limits, strict=True)}


def _refusal(limits: Limits) -> str:
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            apply(limits)
        except OSError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as told:
        reason = told.read()
    os.waitpid(pid, 0)
    return reason


def _main(arguments: list[str]) -> None:
    if arguments == ["probe"]:
        sys.stdout.write(json.dumps(_probe()))
        return
    wanted, *command = arguments
    apply(Limits(**json.loads(wanted)))
    os.execvp(command[0], command)  # noqa: S606 (the command is that of the kernel's specification)


if __name__ == "__main__":
    _main(sys.argv[1:])
