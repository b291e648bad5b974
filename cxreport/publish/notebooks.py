"""Execute notebooks with Papermill: strict parameters, this interpreter's kernel, errors a user can act on."""

import ast
import json
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from cxreport.config import ROOT_VARIABLE, Project
from cxreport.errors import CxError, DefinitionError, GateError, RunError, UsageError, listed, nearest
from cxreport.publish import document

# A value that a parameters cell may hold: what `ast.literal_eval` reads.
Value = Any

_RAISED_INSIDE: dict[str, type[CxError]] = {
    kind.__name__: kind for kind in (UsageError, DefinitionError, GateError, RunError)
}
# Unix socket paths end at 107 bytes; the kernel appends `-ipc-<port>` to the connection file's stem.
_LONGEST_SOCKET_STEM = 90


@dataclass(frozen=True)
class Notebook:
    """A notebook and the defaults of its one `parameters` cell."""

    path: Path
    defaults: dict[str, Value]

    @property
    def name(self) -> str:
        """The file stem, which is how reports list it."""
        return self.path.stem


# --- reading ---------------------------------------------------------------------------------------


def load(path: Path) -> Notebook:
    """Read a notebook's parameters.

    Raises `DefinitionError` unless exactly one code cell is tagged `parameters` and holds nothing but
    assignments of literals.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise _unfit(path, "is no readable notebook") from None
    if len(tagged) != 1 or tagged[0].get("cell_type") != "code":
        raise _unfit(path, f"has {len(tagged)} code cells tagged `parameters`")
    source = tagged[0].get("source", "")
    return Notebook(path, _literals(path, source if isinstance(source, str) else "".join(source)))


def load_all(project: Project, names: Iterable[str]) -> list[Notebook]:
    """Read notebooks of `notebooks/` in order; raises one `DefinitionError` that holds every problem."""
    known = [path.stem for path in project.notebooks.glob("*.ipynb")]
    problems: list[str] = []
    loaded: list[Notebook] = []
    for name in names:
        if name not in known:
            problems.append(f"notebook `{name}` has no file{nearest(name, known)}")
            continue
        try:
            loaded.append(load(project.notebooks / f"{name}.ipynb"))
        except DefinitionError as error:
            problems.append(error.found)
    if problems:
        raise DefinitionError(
            found="; ".join(problems),
            expected='files in `notebooks/`, each with one `parameters` cell of plain literals such as `period = ""`',
            do="correct the notebooks or the report's `prepare` and `present`",
        )
    return loaded


def _literals(path: Path, source: str) -> dict[str, Value]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise _unfit(path, f"has a `parameters` cell that is no Python, line {error.lineno}") from None
    values: dict[str, Value] = {}
    for statement in statements:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    values[name] = ast.literal_eval(value)
                except ValueError:
                    raise _unfit(path, f"gives `{name}` no literal in its `parameters` cell") from None
            case _:
                raise _unfit(path, f"does more than assign in its `parameters` cell, line {statement.lineno}")
    return values


def _unfit(path: Path, what: str) -> DefinitionError:
    return DefinitionError(
        found=f"notebook `{path.stem}` {what}",
        expected="one code cell tagged `parameters` that assigns plain literals",
        do="correct the notebook",
    )


# --- parameters ------------------------------------------------------------------------------------


def check_parameters(notebook: Notebook, values: Mapping[str, Value]) -> None:
    """Raise `UsageError` with every parameter that the notebook does not declare or declares with another type."""
    problems = [
        f"unknown parameter `{name}` of notebook `{notebook.name}`{nearest(name, notebook.defaults)}"
        if name not in notebook.defaults
        else f"parameter `{name}` of notebook `{notebook.name}` as {_type(value)}, declared as "
        f"{_type(notebook.defaults[name])}"
        for name, value in values.items()
        if name not in notebook.defaults or not _fits(value, notebook.defaults[name])
    ]
    if problems:
        raise UsageError(
            found="; ".join(problems),
            expected=f"parameters of the `parameters` cell, with its types: {_declared(notebook)}",
            do="correct the name or the value",
        )


def share_out(notebooks: Sequence[Notebook], texts: Mapping[str, str]) -> dict[str, dict[str, Value]]:
    """Give command-line parameters to the notebooks that declare them, with the declared types.

    Returns notebook name to its parameters. Raises `UsageError` with every parameter that no notebook declares
    or whose text does not read as the declared type.
    """
    declared = {name for notebook in notebooks for name in notebook.defaults}
    problems = [f"unknown parameter `{name}`{nearest(name, declared)}" for name in texts if name not in declared]
    shared: dict[str, dict[str, Value]] = {notebook.name: {} for notebook in notebooks}
    for notebook in notebooks:
        for name in [name for name in texts if name in notebook.defaults]:
            value = _read(texts[name], notebook.defaults[name])
            if _fits(value, notebook.defaults[name]):
                shared[notebook.name][name] = value
            else:
                wanted = _type(notebook.defaults[name])
                problems.append(
                    f"parameter `{name}` of notebook `{notebook.name}` reads as {_type(value)}, not {wanted}"
                )
    if problems:
        raise UsageError(
            found="; ".join(problems),
            expected=f"one of {listed(declared)}, with the type that the notebook's `parameters` cell declares",
            do="correct the name or the value",
        )
    return shared


def _read(text: str, default: Value) -> Value:
    """Read a parameter from the command line; text that is no literal stays text."""
    if isinstance(default, str):
        return text
    if isinstance(default, bool) and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _fits(value: Value, default: Value) -> bool:
    if default is None:
        return True
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)


def _type(value: Value) -> str:
    return "nothing" if value is None else f"`{type(value).__name__}`"


def _declared(notebook: Notebook) -> str:
    return ", ".join(f"`{name}` ({type(default).__name__})" for name, default in notebook.defaults.items()) or "none"


# --- execution -------------------------------------------------------------------------------------


def execute(
    project: Project,
    notebooks: Sequence[Notebook],
    folder: Path,
    parameters: Mapping[str, Mapping[str, Value]],
    *,
    as_of: date,
    processes: int = 1,
) -> list[Path]:
    """Execute notebooks into a folder, up to `processes` kernels at a time; returns their files in the given order.

    A kernel runs in the project's root. All parameters are checked before the first kernel starts. When one
    notebook fails the others are stopped and its executed copy, with the traceback, stays in the folder.
    Raises the `CxError` that a cell raised, or `RunError` for any other failure.
    """
    for notebook in notebooks:
        check_parameters(notebook, parameters.get(notebook.name, {}))
    folder.mkdir(parents=True, exist_ok=True)
    kernels = _Kernels(project, as_of)
    # Threads suffice because the work is done in the kernels; each gets its folder at its start, not by chdir. A
    # worker thread also keeps nbclient from taking over the interrupt signal.
    with ThreadPoolExecutor(max(1, processes)) as pool:
        running = [
            pool.submit(_execute, project, notebook, folder, parameters.get(notebook.name, {}), kernels)
            for notebook in notebooks
        ]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in running:
                if future in done:
                    future.result()
            return [future.result() for future in running]
        except BaseException:
            for future in running:
                future.cancel()
            kernels.kill()
            raise


def epoch(as_of: date) -> datetime:
    """The instant that stands for the clock wherever a file wants one: midnight UTC of the as-of date."""
    return datetime.combine(as_of, time(), UTC)


def _execute(
    project: Project, notebook: Notebook, folder: Path, parameters: Mapping[str, Value], kernels: "_Kernels"
) -> Path:
    import papermill  # here: a second of imports that other commands need not pay
    from papermill.exceptions import PapermillExecutionError

    # Papermill's logger repeats failures on standard error when nobody listens to it.
    logging.getLogger("papermill").addHandler(logging.NullHandler())
    target = folder / notebook.path.name
    with tempfile.TemporaryDirectory(prefix="cx-") as scratch, _event_loop():
        try:
            executed = papermill.execute_notebook(
                _unformatted(notebook.path),
                _unformatted(target),
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                kernel_manager_class=kernels.manager(Path(scratch)),
                resources={"metadata": {"path": str(project.root)}},
                shutdown_kernel="immediate",
            )
        except PapermillExecutionError as error:
            raise _failure(notebook, error, folder) from None
        except (RuntimeError, TimeoutError) as error:  # a kernel that died or never answered
            raise RunError(
                found=f"the kernel of notebook `{notebook.name}` stopped ({type(error).__name__})",
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
    # Messages of other exceptions may quote data; only the operating system's own words are safe to repeat.
    system = re.match(r"\[Errno \d+\] [^:]+", error.evalue)
    return RunError(
        found=f"{where} raised {error.ename}" + (f", {system[0]}" if system else ""),
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


class _Kernels:
    """Starts Python kernels on this interpreter, whatever kernels the machine has installed, and can kill them."""

    def __init__(self, project: Project, as_of: date) -> None:
        self._environment = {
            ROOT_VARIABLE: str(project.root),
            "SOURCE_DATE_EPOCH": str(int(epoch(as_of).timestamp())),
            "PYTHONHASHSEED": "0",
            "MPLBACKEND": "Agg",
            "GX_ANALYTICS_ENABLED": "false",
        }
        self._started: list[Any] = []
        self._stopped = False
        self._lock = threading.Lock()

    def manager(self, scratch: Path) -> type:
        """Return a kernel manager class, as nbclient wants it, whose files lie in a scratch folder."""
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager

        outer = self
        stem = scratch / "kernel"
        spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            # A folder of its own keeps personal start-up scripts and histories out of reports.
            env=self._environment | {"IPYTHONDIR": str(scratch)},
        )

        class Manager(AsyncKernelManager):  # type: ignore[misc,unused-ignore]
            kernel_spec = spec

            def __init__(self, **settings: Any) -> None:
                super().__init__(connection_file=f"{stem}.json", transport=_transport(stem), **settings)

            async def start_kernel(self, **settings: Any) -> None:  # type: ignore[override]
                await super().start_kernel(**settings)
                outer._register(self)

        return Manager

    def kill(self) -> None:
        """End every kernel at once; their notebooks then fail."""
        with self._lock:
            self._stopped = True
            for manager in self._started:
                _kill(manager)

    def _register(self, manager: Any) -> None:
        with self._lock:
            self._started.append(manager)
            if self._stopped:
                _kill(manager)


def _kill(manager: Any) -> None:
    process = getattr(manager.provisioner, "process", None)
    if process is not None:
        process.kill()


def _transport(stem: Path) -> str:
    """Unix sockets where their path is short enough: no open port, and no warning about one."""
    fits = os.name == "posix" and len(os.fsencode(stem)) <= _LONGEST_SOCKET_STEM
    return "ipc" if fits else "tcp"
