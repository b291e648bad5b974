"""Work on the machines of a cluster, by Joblib's backends."""

import shutil
import sys

import pytest

from cxreport.config import Project
from cxreport.errors import DefinitionError, RunError, UsageError
from cxreport.publish import cluster, inputs, workers


def double(number):
    return 2 * number


def refuse(number):
    raise DefinitionError(found=f"the number {number}", expected="another", do="name another")


@pytest.fixture(params=["threading", "loky"])
def machines(request):
    with cluster.connected(request.param) as (executor, number):
        assert number > 0
        yield executor


def test_calls_give_results_and_errors_one_by_one(machines):
    """A call that fails stops no other one of its round, and what is asked for later is done later."""
    calls = [machines.submit(refuse if number == 3 else double, number) for number in range(6)]
    with pytest.raises(DefinitionError, match="the number 3"):
        calls[3].result()
    assert [call.result() for number, call in enumerate(calls) if number != 3] == [0, 2, 4, 8, 10]
    assert machines.submit(double, 21).result() == 42


def test_what_waits_is_cancelled_at_the_end():
    """Calls that were not begun are cancelled, and nothing hangs."""
    executor = cluster._Rounds("threading")
    executor.shutdown()
    late = executor.submit(double, 1)
    executor.shutdown(cancel_futures=True)
    assert late.cancelled() or late.result(timeout=10) == 2


def test_machine_with_another_version_is_refused():
    """What the machine has installed must be what the run has."""
    own = inputs.package()
    assert cluster._call(own, double, (2,)) == (4, None)
    result, error = cluster._call("other", double, (2,))
    assert result is None
    assert isinstance(error, RunError)
    assert "another version" in error.found


def test_cluster_that_fails_says_so(monkeypatch):
    """Whatever the backend raises, all that waits for it learns of it."""

    def lose(*_):
        raise ConnectionResetError

    monkeypatch.setattr(cluster._Rounds, "_round", lose)
    with cluster.connected("threading") as (executor, _):
        for call in [executor.submit(double, 1), executor.submit(double, 2)]:
            with pytest.raises(RunError, match="ConnectionResetError"):
                call.result()


@pytest.mark.parametrize("name", ["nothing", "ray"])
def test_backend_that_is_not_there_is_wrong_use(name, monkeypatch):
    """An unknown backend, and one whose package is missing."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=f"backend `{name}`"), cluster.connected(name):
        pass


def test_workers_may_be_a_cluster(tmp_path):
    """What makes pages hands its work to the machines."""
    with workers.workers(Project(tmp_path), 1, "threading") as hands:
        assert hands.submit("ready").result() >= 0


@pytest.mark.soak
def test_report_made_on_a_cluster_is_the_same(small, run, copy_project, tmp_path):
    """Dask's processes make the same bytes as this machine's own."""
    pytest.importorskip("distributed", reason="no Dask here")
    project = copy_project(tmp_path / "project", small.project.root)
    shutil.copytree(small.project.sample, project.sample, dirs_exist_ok=True)
    run(project, f"cxreport run --report {small.report} --period {small.period} --cluster dask", OMP_NUM_THREADS="1")
    own, other = (each.published(small.report, small.period) for each in (small.project, project))
    names = {path.relative_to(own) for path in own.rglob("*.*") if path.name != "run.json" and path.suffix != ".ipynb"}
    assert len(names) >= 8
    assert [name for name in names if (own / name).read_bytes() != (other / name).read_bytes()] == []
