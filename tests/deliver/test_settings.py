"""Settings are checked all at once, and what the environment holds never comes out."""

import pytest

from cxreport.config import load_report
from cxreport.deliver import Server
from cxreport.deliver.settings import load
from cxreport.errors import DefinitionError

SECRET = "hunter2-secret"


def test_every_problem_of_the_settings_is_named(project, settings):
    """Unknown keys, a wrong domain, a wrong name in the subject and an odd attachment are one message."""
    settings(project, recipient={}, allowed_domains=["no domain"], subject="{figure}", attach="slides", tries=0)
    with pytest.raises(DefinitionError) as refused:
        load(project, load_report(project, "regional"))
    found = refused.value.found
    for part in (
        "unknown key `recipient`, did you mean `recipients`?",
        "`allowed_domains`",
        "`subject`",
        "`attach`",
        "`tries`",
    ):
        assert part in found


@pytest.mark.parametrize("wrong", ["owner@example.org", "Owner <owner@example.com>", "owner"])
def test_owner_must_be_of_an_allowed_domain(project, settings, wrong):
    """An owner who may not get e-mails is refused before anything is read."""
    settings(project, owner=wrong)
    with pytest.raises(DefinitionError, match="`owner`"):
        load(project, load_report(project, "regional"))


def test_sample_reports_have_settings(project):
    """The settings that come with the project can be read."""
    for report in ("monthly", "regional"):
        assert load(project, load_report(project, report)).owner


def test_environment_is_read(tmp_path):
    """The password may stand in a file, and the port follows from the kind of encryption."""
    (tmp_path / "password").write_text(f"{SECRET}\n")
    given = {"HOST": "mail.example.com", "USER": "me", "PASSWORD_FILE": str(tmp_path / "password")}
    server = Server.of({f"CXREPORT_SMTP_{name}": value for name, value in given.items()})
    assert (server.port, server.security, server.password) == (587, "starttls", SECRET)
    assert Server.of({"CXREPORT_SMTP_HOST": "localhost", "CXREPORT_SMTP_SECURITY": "none"}).port == 25
    assert Server.of({"CXREPORT_SMTP_HOST": "x.example", "CXREPORT_SMTP_SECURITY": "tls"}).port == 465


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "no CXREPORT_SMTP_HOST"),
        ({"HOST": SECRET, "SECURITY": SECRET}, "CXREPORT_SMTP_SECURITY is none of"),
        ({"HOST": SECRET, "SECURITY": "none"}, "on another machine"),
        ({"HOST": SECRET, "PORT": SECRET}, "CXREPORT_SMTP_PORT"),
        ({"HOST": SECRET, "PASSWORD": SECRET}, "only one of"),
        ({"HOST": SECRET, "USER": SECRET, "PASSWORD_FILE": SECRET}, "names no file"),
        ({"HOST": SECRET, "USER": "x", "PASSWORD": SECRET, "PASSWORD_FILE": "/dev/null"}, "both"),
    ],
)
def test_wrong_environments_are_refused_without_their_values(given, problem):
    """Whatever is wrong is said by the names of the variables alone."""
    with pytest.raises(DefinitionError) as refused:
        Server.of({f"CXREPORT_SMTP_{name}": value for name, value in given.items()})
    assert problem in refused.value.found
    assert SECRET not in str(refused.value)


def test_a_server_shows_no_secrets():
    """What Python prints of a server holds neither host nor user nor password."""
    assert SECRET not in repr(Server(SECRET, 1, "tls", SECRET, SECRET))
