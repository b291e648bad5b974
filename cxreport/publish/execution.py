"""Execute a notebook with Papermill, on this interpreter's kernel, within limits, with errors a user can act on."""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import cxreport
from cxreport.config import ROOT_VARIABLE, Limits, Project
from cxreport.errors import CxError, DefinitionError, GateError, RunError, UsageError
from cxreport.publish import document
from cxreport.publish.atomic import system_words
from cxreport.publish.notebooks import Notebook, Value, check_parameters
from cxreport.publish.workers import same_package
from cxreport.scratch import scratch

_RAISED_INSIDE: dict[str, type[CxError]] = {
    kind.__name__: kind for kind in (UsageError, DefinitionError, GateError, RunError)
}
# The kernels of pages are forked from one process that has imported this.
_IMPORTS = ["cxreport.present.ready"]
# Unix socket paths end at 107 bytes; the kernel appends `-ipc-<port>` to the connection file's stem.
_LONGEST_SOCKET_STEM = 90
# The variables that reach a notebook; secrets have other names, and so has what figures must not depend on.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TZ|LANG|LANGUAGE|LC_\w+|TMPDIR|TEMP|TMP|VIRTUAL_ENV|CONDA_PREFIX|PYTHON\w+|LD_LIBRARY_PATH"
    r"|DYLD_\w+|JAVA_HOME|SPARK_\w+|PYSPARK_\w+|HADOOP_\w+|SSL_CERT_\w+|MPLCONFIGDIR|XDG_\w+|SYSTEMROOT|WINDIR|APPDATA"
    r"|LOCALAPPDATA|USERPROFILE|COMSPEC|PATHEXT|CXREPORT_ENGINE",
    re.IGNORECASE,
)
_PATIENCE = 5.0  # seconds for a killed kernel to be noticed


@dataclass(frozen=True)
class Access:
    """What a notebook may reach.

    Attributes
    ----------
    network
        Whether it reaches any network.
    files
        The only files and folders of the project that it may read, and it may write none; `None` for no such limit.
    """

    network: bool = False
    files: tuple[Path, ...] | None = None


def execute(
    project: Project,
    notebook: Notebook,
    folder: Path,
    parameters: Mapping[str, Value],
    *,
    as_of: date,
    limits: Limits | None = None,
    access: Access | None = None,
) -> Path:
    """Execute a notebook into a folder, with a kernel that runs in the project's root; returns its file.

    Parameters are checked before the kernel starts. When the notebook fails its executed copy, with the traceback,
    stays in the folder. Limits on memory, network and files hold where the system allows them.

    Raises the `CxError` that a cell raised, or `RunError` for any other failure.
    """
    check_parameters(notebook, parameters)
    folder.mkdir(parents=True, exist_ok=True)
    allowed = limits or Limits()
    kernel = _Kernel(project, as_of, allowed, access or Access())
    # A thread of its own keeps nbclient from taking over the interrupt signal, and can be waited for so long only.
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_execute, project, notebook, folder, parameters, kernel)
        try:
            return running.result(timeout=60 * allowed.minutes)
        except TimeoutError:
            raise RunError(
                found=f"notebook `{notebook.name}` ran longer than {allowed.minutes:g} minutes",
                expected="a notebook that ends in that time",
                do="see in its executed copy under data/failed/ where it stopped, or raise `limits: {minutes: ...}` "
                "in the report's definition",
            ) from None
        finally:
            kernel.kill()


def warm(project: Project) -> None:
    """Begin the imports of kernels, which take a while, ahead of the first one; does not wait for them."""
    from cxreport.publish.kernels import owner

    environment = _inherited() | _environment(project, date.min)
    if not owner.unsupported():
        owner.warm(owner.Setting.of([sys.executable], _IMPORTS, str(project.root), environment, [ROOT_VARIABLE]))


def epoch(as_of: date) -> datetime:
    """The instant that stands for the clock wherever a file wants one: midnight UTC of the as-of date."""
    return datetime.combine(as_of, time(), UTC)


def _execute(
    project: Project, notebook: Notebook, folder: Path, parameters: Mapping[str, Value], kernel: "_Kernel"
) -> Path:
    import papermill  # here: a second of imports that other commands need not pay
    from papermill.exceptions import PapermillExecutionError

    # Papermill's logger repeats failures on standard error when nobody listens to it.
    logging.getLogger("papermill").addHandler(logging.NullHandler())
    target = folder / notebook.path.name
    with scratch() as place, _event_loop():
        try:
            executed = papermill.execute_notebook(
                _unformatted(notebook.path),
                _unformatted(target),
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                kernel_manager_class=kernel.manager(place),
                resources={"metadata": {"path": str(project.root)}},
                shutdown_kernel="immediate",
            )
        except PapermillExecutionError as error:
            raise _failure(notebook, error, folder) from None
        except (RuntimeError, TimeoutError) as error:  # a kernel that died or never answered
            raise RunError(
                found=f"the kernel of notebook `{notebook.name}` stopped ({kernel.ended or type(error).__name__})",
                expected="a Python kernel that runs to the last cell",
                do="check the memory of the machine, then run the notebook alone to see where it stops",
            ) from None
    _require_every_cell(notebook, executed)
    _write_without_machine_paths(executed, notebook, target)
    return target


@contextmanager
def _event_loop() -> Iterator[None]:
    """Close the event loop that Jupyter's client opens in this thread and leaves open."""
    from jupyter_core.utils import ensure_event_loop

    loop = ensure_event_loop()
    try:
        yield
    finally:
        loop.close()


def _failure(notebook: Notebook, error: Any, folder: Path) -> CxError:
    """Turn an exception inside a notebook into the error that the caller sees."""
    where = f"notebook `{notebook.name}`, cell {_cell_number(notebook, folder, error.cell_index)}"
    told = re.fullmatch(r"found: (.*)\nexpected: (.*)\ndo: (.*)", error.evalue, re.DOTALL)
    if told and (kind := _RAISED_INSIDE.get(error.ename)):
        return kind(found=f"{told[1]} ({where})", expected=told[2], do=told[3])
    if error.ename == "PermissionError":
        return RunError(
            found=f"{where} raised PermissionError",
            expected="a page that reads its own figures and the definitions, and writes nothing",
            do="if it reads a file of its own, name that under `reads` in the report's definition",
        )
    # Messages of other exceptions may quote data; only the operating system's own words are safe to repeat.
    system = re.match(r"\[Errno (\d{1,5})\]", error.evalue)
    return RunError(
        found=f"{where} raised {error.ename}" + (f", {system[0]} {system_words(int(system[1]))}" if system else ""),
        expected="a notebook that runs from the first cell to the last",
        do="read the traceback in the copy under data/failed/, correct the cause and run again",
    )


def _cell_number(notebook: Notebook, folder: Path, index: int) -> int:
    """Return the 1-based place in the source notebook of a cell of the executed one."""
    cells = json.loads((folder / notebook.path.name).read_text(encoding="utf-8"))["cells"]
    added = ("injected-parameters", "papermill-error-cell-tag")
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    # Papermill counted before it added its two error cells, but after it added the parameters.
    counted = [marks for marks in tags if "papermill-error-cell-tag" not in marks]
    return sum(not set(added) & set(marks) for marks in counted[: index + 1])


def _require_every_cell(notebook: Notebook, executed: Any) -> None:
    """Refuse a notebook that ended early: Papermill takes a bare `exit()` for success."""
    if any(
        cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None for cell in executed.cells
    ):
        raise RunError(
            found=f"notebook `{notebook.name}` ended before its last cell",
            expected="a notebook that runs from the first cell to the last",
            do="remove the call that leaves the notebook early",
        )


def _write_without_machine_paths(executed: Any, notebook: Notebook, target: Path) -> None:
    executed.metadata.papermill.update(input_path=notebook.path.name, output_path=target.name)
    document.write(executed, target)


def _unformatted(path: Path) -> str:
    """Protect braces in a path, which Papermill would fill in like a template."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _inherited() -> dict[str, str]:
    """Return the variables of this process that kernels get: what programs need to run, and the engine."""
    return {name: text for name, text in os.environ.items() if _INHERITED.fullmatch(name)}


def _environment(project: Project, as_of: date) -> dict[str, str]:
    """Return what is set for kernels, so that the same notebook gives the same bytes."""
    return {
        ROOT_VARIABLE: str(project.root),
        "SOURCE_DATE_EPOCH": str(int(epoch(as_of).timestamp())),
        "PYTHONHASHSEED": "0",
        **same_package(),
        "MPLBACKEND": "Agg",
        "GX_ANALYTICS_ENABLED": "false",
        # Sums of several threads differ in their last digits; and notebooks run side by side already.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


class _Kernel:
    """Starts a Python kernel on this interpreter, whatever kernels the machine has installed, and can kill it."""

    def __init__(self, project: Project, as_of: date, limits: Limits, access: Access) -> None:
        self._project, self._as_of, self._limits, self._access = project, as_of, limits, access
        self._provisioner: Any = None
        self._stopped = False

    def manager(self, scratch: Path) -> type:
        """Return a kernel manager class, as nbclient wants it, whose files lie in a scratch folder."""
        from jupyter_client.kernelspec import KernelSpec

        from cxreport.publish.kernels.client import PromptManager

        outer = self
        stem = scratch / "kernel"
        # A folder of its own keeps personal start-up scripts and histories out of reports.
        environment = _environment(self._project, self._as_of) | {"IPYTHONDIR": str(scratch)}
        spec = KernelSpec(
            argv=[
                *(sys.executable, "-m", "ipykernel_launcher"),
                *("-f", "{connection_file}", "--InteractiveShellApp.ignore_cwd=True"),
            ],
            display_name="Python 3",
            language="python",
            env=environment,
        )

        class Manager(PromptManager):
            kernel_spec = spec

            def __init__(self, **settings: Any) -> None:
                super().__init__(connection_file=f"{stem}.json", transport=_transport(stem), **settings)
                self.provisioner = outer._provision(self, spec)

            async def start_kernel(self, **settings: Any) -> None:  # type: ignore[override]
                await super().start_kernel(**settings | {"env": _inherited()})
                if outer._stopped:
                    outer.kill()

            async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
                if now:  # an interrupt comes first otherwise, of which the kernel complains
                    outer.kill()
                await super().shutdown_kernel(now, restart)

        return Manager

    def kill(self) -> None:
        """End the kernel at once, if there is one; its notebook then fails."""
        self._stopped = True
        process = getattr(self._provisioner, "process", None)
        if process is not None:
            process.kill()

    @property
    def ended(self) -> str:
        """How the kernel ended, in words; empty where that is not known."""
        code = getattr(self._provisioner, "exit_code", None)
        return "" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"

    def _provision(self, manager: Any, spec: Any) -> Any:
        from cxreport.publish.kernels.provisioner import WarmProvisioner

        files = self._access.files
        self._provisioner = WarmProvisioner(
            kernel_id="",
            kernel_spec=spec,
            parent=manager,
            imports=_IMPORTS,
            varying=[ROOT_VARIABLE],
            network=self._access.network,
            memory_mb=self._limits.memory_mb,
            readable=None if files is None else [*map(str, files), *_own_folders()],
            listed=[] if files is None else [str(self._project.root)],
        )
        return self._provisioner


def _own_folders() -> list[str]:
    """Return the folders beside Python's own that the libraries read."""
    import matplotlib as mpl

    return [str(Path(cxreport.__file__).parent), mpl.get_cachedir()]


def _transport(stem: Path) -> str:
    """Unix sockets where their path is short enough: no open port, and no warning about one."""
    fits = os.name == "posix" and len(os.fsencode(stem)) <= _LONGEST_SOCKET_STEM
    return "ipc" if fits else "tcp"
