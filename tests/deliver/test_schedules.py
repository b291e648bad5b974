"""The schedules that are ready to copy can be read by their programs, and every command in them exists."""

import configparser
import re
import shlex
import shutil
import subprocess

import click
import pytest
import typer
import yaml

from cxreport import cli

FILES = ["crontab", "cxreport.service", "cxreport.timer", "github.yml"]


@pytest.fixture(scope="module")
def schedules(root):
    """The folder of the examples."""
    return root / "docs" / "schedules"


def unit(path):
    """Return a unit of systemd, whose keys may stand several times."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(path)
    return parser


def commands(text):
    """Return the arguments of every `cxreport` that a text calls."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = re.findall(r"bin/cxreport ([\w -]*?)(?: 2>|$)", "\n".join(lines), re.MULTILINE)
    return [shlex.split(arguments) for arguments in found]


def test_folder_holds_the_examples(schedules):
    """There is one for cron, two files for systemd and one for GitHub Actions."""
    assert sorted(path.name for path in schedules.iterdir()) == FILES


@pytest.mark.parametrize("name", [name for name in FILES if name != "cxreport.timer"])
def test_every_command_exists_with_its_options(schedules, name):
    """Each example runs a report, then delivers it, by commands and options that the command line has."""
    called = commands((schedules / name).read_text())
    assert [arguments[0] for arguments in called] == ["run", "deliver"]
    known = typer.main.get_command(cli.app)
    for command, *arguments in called:
        with click.Context(known) as context:
            parsed = known.get_command(context, command).make_context(command, arguments, resilient_parsing=False)
        assert parsed.params["report"] == "monthly"
        assert parsed.params.get("send", True)


def test_delivery_follows_a_failed_run(schedules):
    """None of them leaves the delivery, which tells the owner, out when the run fails."""
    assert 'cxreport run --report monthly 2>&1) || echo "$said"; said=$(' in (schedules / "crontab").read_text()
    assert "ExecStart=-/srv/cxreport/.venv/bin/cxreport run" in (schedules / "cxreport.service").read_text()
    steps = yaml.safe_load((schedules / "github.yml").read_text())["jobs"]["report"]["steps"]
    [deliver] = [step for step in steps if "cxreport deliver" in step.get("run", "")]
    assert deliver["if"] == "always()"


def test_workflow_is_whole(schedules):
    """The workflow runs monthly, hands secrets to the delivery alone, and keeps issues, log and pack."""
    workflow = yaml.safe_load((schedules / "github.yml").read_text())
    assert workflow[True]["schedule"] == [{"cron": "0 6 2 * *"}]  # YAML reads the key `on` as true
    steps = workflow["jobs"]["report"]["steps"]
    assert [step.get("name") for step in steps if "secrets." in str(step)] == [
        "Deliver it, or tell the owner why there is none"
    ]
    assert all("run" in step or "uses" in step for step in steps)
    assert steps[-1]["with"]["path"] == "reports/output/monthly"


def test_crontab_has_five_fields_and_no_percent_sign(schedules):
    """The line has a time and a command; a percent sign would end it."""
    lines = [line for line in (schedules / "crontab").read_text().splitlines() if line and not line.startswith("#")]
    assert [line.partition("=")[0] for line in lines[:-1]] == ["MAILTO", "CXREPORT"]
    assert re.match(r"0 6 2 \* \* cd ", lines[-1])
    assert "%" not in lines[-1]
    assert subprocess.run(["sh", "-n"], input=lines[-1].split(maxsplit=5)[5], text=True, check=False).returncode == 0


def test_units_are_units(schedules, tmp_path):
    """The timer names a calendar, the service its steps; systemd itself finds nothing wrong where it is installed."""
    service, timer = (unit(schedules / f"cxreport.{kind}") for kind in ("service", "timer"))
    assert service["Service"]["Type"] == "oneshot"
    assert timer["Timer"]["OnCalendar"] == "*-*-02 06:00:00"
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here: only the form of the units is checked")
    for name in ("cxreport.service", "cxreport.timer"):
        text = (schedules / name).read_text().replace("/srv/cxreport/.venv/bin/cxreport", "/bin/true")
        (tmp_path / name).write_text(text)
    checked = ["systemd-analyze", "verify", str(tmp_path / "cxreport.timer"), str(tmp_path / "cxreport.service")]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert not re.search(r"cxreport\.(service|timer)", done.stderr), done.stderr
