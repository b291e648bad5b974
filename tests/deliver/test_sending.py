"""Nobody gets an e-mail twice, whatever breaks; only the owner hears of what went wrong."""

import json
import signal
import smtplib
import subprocess
import sys
import threading
from email import message_from_bytes
from email.policy import default

import pytest

from cxreport import cli
from cxreport.config import load_report
from cxreport.deliver import Server, Wish, preview
from cxreport.deliver.log import Log, Recipient
from cxreport.errors import CxError, RunError

ALL = ["board@example.com", "nina@example.com", "noah@xn--bcher-kva.example", "sara@example.com"]
OWNER = "owner@example.com"
SECRET = "hunter2-secret"
COMMAND = ["deliver", "--report", "regional", "--period", "2026-09"]


def events(project):
    """Return the lines of the log."""
    path = project.root / "data" / "delivered" / "regional" / "2026-09.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def republish(project, by_hand):
    """Publish another edition of the issue."""
    by_hand.publish(project, figures={"north": "63.1", "south": "18.4", "all": "42.2"})


@pytest.mark.usefixtures("quick")
def test_everybody_gets_one_email_of_their_own(project, deliver, mailbox):
    """Each recipient gets one message, addressed to nobody else, and a second delivery sends nothing."""
    deliver()
    assert mailbox.recipients == ALL
    for recipient, content in mailbox.taken:
        message = message_from_bytes(content, policy=default)
        assert message["To"] == recipient
        assert not any(other.encode() in content for other in ALL if other != recipient)
    said = deliver()
    assert mailbox.recipients == ALL
    assert "north: sent to 0 of 2" in said
    assert "  some have this edition already" in said
    steps = [event["event"] for event in events(project)]
    assert steps == ["sending", "accepted"] * 4
    assert all("@" not in json.dumps(event) for event in events(project))


@pytest.mark.usefixtures("quick")
def test_lines_with_dots_arrive_as_they_are(deliver, mailbox):
    """A line that is a dot alone ends no message."""
    deliver(audiences=("south",))
    [message] = mailbox.messages("sara@example.com")
    assert "\r\n.\r\n..dots" in message.get_body(("plain",)).get_content()


@pytest.mark.usefixtures("quick")
def test_refused_address_stops_everything_and_the_owner_is_told(project, settings, deliver, mailbox):
    """One address outside the allowed domains, and nobody but the owner gets anything."""
    settings(project, recipients={"all": ["board@example.com"], "south": ["sara@example.org"]})
    with pytest.raises(CxError, match="`south`, address 1"):
        deliver()
    assert mailbox.recipients == [OWNER]
    text = mailbox.messages(OWNER)[0].get_content()
    assert "`south`, address 1: the domain `example.org`" in text
    assert "The owner was told by e-mail" in deliver.said


@pytest.mark.usefixtures("quick")
def test_missing_issue_is_told_to_the_owner_alone(project, by_hand, deliver, mailbox):
    """When the run failed there is no issue: the owner gets found, expected and do, the audience nothing."""
    folder = project.published("regional", by_hand.SEPTEMBER)
    folder.rename(folder.with_name("2026-08"))
    (project.root / "data" / "failed" / "regional" / "2026-09").mkdir(parents=True)
    with pytest.raises(RunError, match="no published issue"):
        deliver()
    assert mailbox.recipients == [OWNER]
    text = mailbox.messages(OWNER)[0].get_content()
    for part in ("Found: no published issue of `regional`", "Expected:", "Do: open data/failed/regional/2026-09/"):
        assert part in text


@pytest.mark.usefixtures("quick")
def test_lasting_refusal_is_told_to_the_owner_and_others_are_served(deliver, mailbox):
    """A mailbox that does not exist stops nobody else; the owner learns whose it is, the screen where it stands."""
    mailbox.answers = {"nina@example.com": ["550"]}
    with pytest.raises(RunError) as failed:
        deliver()
    assert failed.value.found == "1 e-mail not delivered (`north`, address 1: refused, SMTP 550)"
    assert "nina" not in "".join(deliver.said)
    assert mailbox.recipients == [to for to in ALL if to != "nina@example.com"] + [OWNER]
    note = mailbox.messages(OWNER)[0]
    assert "north: nina@example.com, refused by the server (SMTP 550)" in note.get_content()
    assert not any(figure in note.get_content() for figure in ("41.7", "62.3", "17.9"))
    assert not list(note.iter_attachments())
    deliver()
    assert mailbox.recipients[-1] == "nina@example.com"
    assert sorted(set(mailbox.recipients)) == sorted([*ALL, OWNER])
    assert len(mailbox.recipients) == 5


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answers", [["450"], ["drop"], ["421"], ["data 451"], ["450", "drop"]])
def test_passing_refusals_are_tried_again(project, deliver, mailbox, answers):
    """What was certainly not taken is sent within the same delivery, once."""
    mailbox.answers = {"nina@example.com": list(answers)}
    deliver()
    assert sorted(mailbox.recipients) == sorted(ALL)
    assert [event["event"] for event in events(project)].count("deferred") == len(answers)


@pytest.mark.usefixtures("quick")
def test_refusal_that_does_not_pass_is_left_to_the_next_delivery(deliver, mailbox):
    """After the last try the recipient is left out, the owner is told, and the next delivery sends."""
    mailbox.answers = {"nina@example.com": ["450"] * 3}
    with pytest.raises(RunError, match="address 1: deferred, SMTP 450"):
        deliver()
    assert "nina@example.com" not in mailbox.recipients
    assert "not taken for the time being (SMTP 450)" in mailbox.messages(OWNER)[0].get_content()
    deliver()
    assert mailbox.recipients.count("nina@example.com") == 1


@pytest.mark.usefixtures("quick")
def test_lost_reply_is_not_sent_again_unless_wanted(deliver, mailbox):
    """When the server may have taken an e-mail, it goes out again only by --resend-uncertain."""
    mailbox.answers = {"nina@example.com": ["lose reply"]}
    with pytest.raises(RunError, match="address 1: uncertain"):
        deliver()
    with pytest.raises(RunError, match="1 e-mail not delivered"):
        deliver()
    assert mailbox.recipients.count("nina@example.com") == 1
    assert "With --resend-uncertain they are sent it again" in mailbox.messages(OWNER)[0].get_content()
    deliver(resend_uncertain=True)
    deliver(resend_uncertain=True)
    assert mailbox.recipients.count("nina@example.com") == 2
    assert mailbox.recipients.count("sara@example.com") == 1


@pytest.mark.usefixtures("quick")
def test_new_edition_goes_to_those_without_one_and_by_wish_to_all(project, by_hand, deliver, mailbox):
    """Those who got an earlier edition are left alone until --again, which sends them the new one once."""
    mailbox.answers = {"nina@example.com": ["550"]}
    with pytest.raises(RunError):
        deliver()
    mailbox.taken.clear()
    republish(project, by_hand)
    said = deliver()
    assert mailbox.recipients == ["nina@example.com"]
    assert "  some have an earlier edition; --again sends them this one" in said
    deliver(again=True)
    deliver(again=True)
    assert sorted(mailbox.recipients) == sorted(ALL)


@pytest.mark.usefixtures("quick")
def test_two_deliveries_at_once_send_everything_once(deliver, mailbox):
    """The second one waits for the first and then has nothing to send."""
    both = [threading.Thread(target=deliver) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(mailbox.recipients) == sorted(ALL)


def test_killed_delivery_is_resumed_without_sending_twice(project, deliver, mailbox, environment):
    """After SIGKILL while a message is under way, it counts as uncertain, and the next one gets its own."""
    assert environment
    command = [sys.executable, "-m", "cxreport", *COMMAND, "--audience", "north", "--send"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    mailbox.before_reply = lambda _: (process.kill(), process.wait())
    assert process.wait() == -signal.SIGKILL
    mailbox.before_reply = lambda _: None
    assert mailbox.recipients == ["nina@example.com"]
    assert [event["event"] for event in events(project)] == ["sending"]
    with pytest.raises(RunError, match="`north`, address 1: uncertain"):
        deliver(audiences=("north",))
    assert mailbox.recipients[:2] == ALL[1:3]
    assert mailbox.recipients[2:] == [OWNER]


def test_line_of_the_log_that_was_cut_short_says_nothing(tmp_path):
    """A machine that dies while it writes what became of an e-mail leaves it uncertain, and the log readable."""
    path, to = tmp_path / "2026-09.jsonl", Recipient("north", "nina@example.com")
    Log(path, "regional").add("sending", to, "edition")
    whole = path.read_text()
    path.write_text(f'{whole}{{"at": "2026-10-05T06:0')
    log = Log(path, "regional")
    assert log.state(to, "edition") == "uncertain"
    assert log.state(to._replace(audience="south"), "edition") == "due"
    log.add("accepted", to, "edition", 250)
    assert path.read_text().startswith(whole)
    assert Log(path, "regional").state(to, "edition") == "sent"
    assert Log(path, "regional").state(to, "another") == "sent earlier"


@pytest.fixture
def environment(monkeypatch, mailbox, project):
    """Make the test's server and project those of commands."""
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("CXREPORT_ROOT", raising=False)
    for name, text in {"HOST": "127.0.0.1", "PORT": str(mailbox.port), "SECURITY": "none"}.items():
        monkeypatch.setenv(f"CXREPORT_SMTP_{name}", text)
    return monkeypatch


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("has_defect", [False, True])
def test_secrets_appear_nowhere(project, mailbox, environment, capsys, has_defect):
    """A login that is refused and repeated, or that raises what nobody foresaw: no output has user or password."""
    mailbox.refuses_login = True
    environment.setenv("CXREPORT_SMTP_USER", f"{SECRET}-user")
    environment.setenv("CXREPORT_SMTP_PASSWORD", SECRET)
    if has_defect:
        environment.setattr(smtplib.SMTP, "login", lambda *given: 1 / len(given[3:]))
    with pytest.raises(SystemExit) as ended:
        cli.main([*COMMAND, "--send"])
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert ("ZeroDivisionError" if has_defect else "does not accept the user and the password") in printed.err
    written = [path.read_text() for path in (project.root / "data").rglob("*") if path.is_file()]
    assert SECRET not in "".join([printed.out, printed.err, *written])
    assert mailbox.taken == []


@pytest.mark.usefixtures("quick")
def test_command_sends_only_when_told_to(mailbox, environment, capsys):
    """Without --send the command sends nothing and says so; with it, it says who was sent something."""
    for arguments, taken in (([], 0), (["--send"], 4)):
        with pytest.raises(SystemExit) as ended:
            cli.main([*COMMAND, *arguments])
        assert not ended.value.code
        assert len(mailbox.taken) == taken
    printed = capsys.readouterr()
    assert "Nothing was sent; --send sends" in printed.out
    assert "north: sent to 2 of 2" in printed.out
    assert environment


@pytest.mark.usefixtures("quick")
def test_nothing_is_sent_without_the_wanted_encryption(deliver, mailbox):
    """A server that offers no encryption gets neither login nor e-mail."""
    with pytest.raises(RunError, match="without encryption"):
        deliver(Server("127.0.0.1", mailbox.port, "starttls", "user", SECRET))
    assert mailbox.logins == []
    assert mailbox.taken == []


@pytest.mark.usefixtures("quick")
def test_encrypted_connection_logs_in_and_sends(deliver, mailbox, certificate, monkeypatch):
    """By default the connection is encrypted before user and password go over it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    deliver(Server("127.0.0.1", mailbox.port, "starttls", "user", SECRET))
    assert mailbox.recipients == ALL
    assert len(mailbox.logins) == 1


@pytest.mark.usefixtures("quick", "certificate")
def test_unknown_certificate_gets_nothing(deliver, mailbox):
    """A server whose certificate nobody vouches for gets neither login nor e-mail."""
    with pytest.raises(RunError, match="certificate"):
        deliver(Server("127.0.0.1", mailbox.port, "starttls", "user", SECRET))
    assert mailbox.logins == []
    assert mailbox.taken == []


@pytest.mark.usefixtures("quick")
def test_server_that_is_away_stops_the_delivery(deliver):
    """Without a connection the delivery ends after its tries, and says that the owner could not be told."""
    with pytest.raises(RunError, match="no connection"):
        deliver(Server("127.0.0.1", 1, "none"))
    assert "The owner could not be told by e-mail" in deliver.said


@pytest.mark.usefixtures("quick")
def test_defect_is_told_without_its_message(deliver, mailbox, monkeypatch):
    """An error that nobody foresaw reaches the owner by its kind, not by its message, which may quote data."""

    def fail(*_):
        raise ValueError("the figure 62.3")

    monkeypatch.setattr("cxreport.deliver.letters.write", fail)
    with pytest.raises(ValueError, match=r"62\.3"):
        deliver()
    assert mailbox.recipients == [OWNER]
    text = mailbox.messages(OWNER)[0].get_content()
    assert "ValueError" in text
    assert "62.3" not in text


@pytest.mark.usefixtures("quick")
def test_german_owner_is_told_in_german(project, by_hand, deliver, mailbox):
    """The note to the owner is in the report's language."""
    by_hand.define(project, language="de", title="Kundenerlebnis")
    with pytest.raises(RunError):
        deliver()
    [note] = mailbox.messages(OWNER)
    assert note["Subject"] == "Versand braucht Aufmerksamkeit: Kundenerlebnis, September 2026"
    assert "Gefunden: " in note.get_content()


@pytest.mark.usefixtures("quick")
def test_dry_run_knows_who_has_what(project, by_hand, deliver, mailbox):
    """After a delivery the dry run says that nobody would get it now."""
    deliver()
    wish = Wish(project, load_report(project, "regional"), by_hand.SEPTEMBER, at=by_hand.AT)
    said = list(preview(wish, None))
    assert said.count("  some have this edition already") == 3
    assert "  2 recipients, of whom 0 would get it now" in said
    assert len(mailbox.taken) == 4


def test_log_that_cannot_be_read_stops_the_delivery(tmp_path):
    """A line that is no log line is an error, because nobody knows what it said."""
    path = tmp_path / "2026-09.jsonl"
    path.write_text('{"event": "accepted"}\nnot a line\n')
    with pytest.raises(RunError, match="line 1 of the delivery log"):
        Log(path, "regional")
