"""Where forking would not be safe the kernel is an ordinary one, and says why."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxreport.publish.kernels import owner, provisioner

UNFIT = {
    "threads": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "threads",
    ),
    "socket": ("import socket\nheld = socket.socket()", "socket:"),
    "process": ("import subprocess\nheld = subprocess.Popen(['sleep', '59.7'])", "started a process"),
    "figures": (
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nplt.figure()",
        "drawn figures",
    ),
    "error": ("raise ValueError('not here')", "ValueError: not here"),
    "exit": ("import os\nos._exit(7)", "exit code 7"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """Return why parents refuse, by the module they imported; all start at once."""
    folder = tmp_path_factory.mktemp("unfit")
    parents = {}
    for name, (source, _) in UNFIT.items():
        (folder / f"unfit_{name}.py").write_text(source, encoding="utf-8")
        parents[name] = owner.warm(owner.Setting.of([sys.executable], [f"unfit_{name}"], str(folder), os.environ))
    end = time.monotonic() + 60
    while any(parent.refusal is None for parent in parents.values()) and time.monotonic() < end:
        time.sleep(0.05)
    return {name: parent.refusal for name, parent in parents.items()}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_imports_are_refused(refusals, name):
    """A parent with threads, open files or sockets, processes, figures or an error says so and is not forked."""
    assert UNFIT[name][1] in refusals[name]


def test_refused_parent_takes_along_what_it_started(refusals):
    """A process that an import started is gone once the parent has refused."""
    assert "process" in refusals
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert b"sleep\x0059.7\x00" not in commands


def test_notebook_runs_on_an_ordinary_kernel_instead(start, tmp_path, caplog):
    """An import that starts a thread costs the speed only, and the log and the provisioner tell why."""
    (tmp_path / "threaded.py").write_text(UNFIT["threads"][0], encoding="utf-8")
    with start({"imports": ["threaded"]}, cwd=tmp_path) as kernel:
        assert kernel.run("import threaded; print('ran')") == "ran\n"
        assert "started threads" in kernel.provisioner.fallback
        assert kernel.provisioner.fallback in caplog.text
        assert kernel.manager.is_alive()


def test_imports_without_end_are_given_up(tmp_path, monkeypatch):
    """A parent whose imports hang is ended."""
    monkeypatch.setattr(owner, "_PATIENCE", 0.1)
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(60)", encoding="utf-8")
    parent = owner.warm(owner.Setting.of([sys.executable], ["endless"], str(tmp_path), os.environ))
    time.sleep(0.2)
    assert parent.refusal == "imports took longer than 0 s"
    assert parent._process.wait(10) == -9


def test_other_systems_have_ordinary_kernels(start, monkeypatch):
    """Where forking is unsafe nothing is forked."""
    monkeypatch.setattr(owner.sys, "platform", "darwin")
    reason = owner.unsupported()
    monkeypatch.undo()
    monkeypatch.setattr(owner, "unsupported", lambda: reason)
    with start({"imports": []}, client=False) as kernel:
        assert kernel.provisioner.fallback == "forking is not safe on darwin"


@pytest.mark.parametrize(
    ("command", "asked", "reason"),
    [
        (["R", "--slave"], {}, "does not run ipykernel"),
        (["python", "-m", "xeus"], {}, "does not run ipykernel"),
        (["python", "-m", "ipykernel_launcher"], {"independent": True}, "outlive"),
        (["python", "-m", "ipykernel_launcher"], {"stdout": subprocess.PIPE}, "no pipe for stdout"),
        (["python", "-m", "ipykernel_launcher"], {"preexec_fn": print}, "takes no preexec_fn"),
        (["python", "-X", "dev", "-m", "ipykernel"], {"cwd": ".", "env": {}}, ""),
    ],
)
def test_what_cannot_be_forked_is_not(command, asked, reason):
    """Other programs, and wishes that only a new process can fulfil, get one."""
    assert reason in provisioner._unforkable(command, provisioner._options(command), asked)


def test_unknown_setting_is_refused(start):
    """A mistyped setting in a kernel specification is told with the known ones."""
    with (
        pytest.raises(TypeError, match=r"unknown settings of a warm kernel: import; known are .*imports"),
        start({"import": ["json"]}, client=False),
    ):
        pass


def test_streams_go_where_they_were_asked_to(start, tmp_path):
    """What a kernel's C library writes past the notebook goes to the file that was given."""
    with (tmp_path / "said").open("w") as said, start({"imports": []}, stdout=said, stderr=subprocess.STDOUT) as kernel:
        kernel.run("import sys; print('past', file=open(sys.stderr._original_stdstream_copy, 'w', closefd=False))")
    assert (tmp_path / "said").read_text() == "past\n"


def test_settings_that_matter_at_start_have_parents_of_their_own():
    """Another locale, hash seed or thread count is another parent; a variable read by cells only is not."""
    base = {"LANG": "C", "MARK": "1", "JSON_ROOT": "1"}
    setting = owner.Setting.of(["python"], ["json"], ".", base, ["JSON_ROOT"])
    assert owner.Setting.of(["python"], ["json"], ".", base | {"MARK": "2", "JSON_ROOT": "2"}, ["JSON_ROOT"]) == setting
    for name in ("LANG", "PYTHONHASHSEED", "OMP_NUM_THREADS", "MPLBACKEND", "JSON_MODE"):
        assert owner.Setting.of(["python"], ["json"], ".", base | {name: "x"}, ["JSON_ROOT"]) != setting


@pytest.mark.parametrize("name", ["yaml.py", "matplotlibrc", "package/__init__.py", "fast.abi3.so"])
def test_folders_that_shape_imports_have_parents_of_their_own(tmp_path, name):
    """Kernels of two folders share a parent unless modules or settings of drawing lie in one of them."""
    here, there = (tmp_path / part for part in ("here", "there"))
    for folder in (here, there):
        (folder / "data").mkdir(parents=True)
    settings = [owner.Setting.of(["python"], [], str(folder), {}) for folder in (here, there)]
    assert settings[0] == settings[1]
    (here / name).parent.mkdir(exist_ok=True)
    (here / name).touch()
    assert owner.Setting.of(["python"], [], str(here), {}).folder == str(here)


def test_parent_that_vanishes_is_no_obstacle(start, monkeypatch):
    """When the parent cannot be asked any more the kernel starts anyway."""

    def gone(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(owner.WarmParent, "fork", gone)
    with start({"imports": []}) as kernel:
        assert "Broken pipe" in kernel.provisioner.fallback
        assert kernel.run("print('runs')") == "runs\n"
