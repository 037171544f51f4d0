"""A whole server: its workers are replaced when they die, a changed file is applied, SIGTERM drains."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridgehead.control.control_socket import call
from bridgehead.spool.adopt import adopt
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import free_port, greets, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sink import Sink
from tests.spool.disks import CrashDisk, PowerLossError

MESSAGE = "Subject: {subject}\r\n\r\nHello.\r\n"


def send(port: int, subject: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test") as client:
        client.sendmail("amy@contoso.com", ["bob@fabrikam.com"], MESSAGE.format(subject=subject))


def wait_subjects(sink: Sink, *subjects: str) -> None:
    wanted = {subject.encode() for subject in subjects}
    wait_until(lambda: wanted <= sink.counts(b"Subject").keys(), f"{subjects} at the next hop")


def fetched(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET; 0 where nothing listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def refused(client: smtplib.SMTP) -> bool:
    """Whether new mail gets 452 4.3.1."""
    code, text = client.mail("amy@contoso.com")
    client.rset()
    return code == 452 and text.startswith(b"4.3.1")


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "volume"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def server(new_bridgehead: NewBridgehead, sink: Sink) -> Bridgehead:
    made: Bridgehead = new_bridgehead()
    made.configure(smart_host(sink.port))
    return made


def test_supervisor_relays_mail_and_ends_cleanly_at_sigterm(server: Bridgehead, sink: Sink) -> None:
    server.start()
    send(server.port, "one")
    wait_subjects(sink, "one")
    assert server.terminate() == 0
    assert not (server.state / "control.sock").exists()


def test_supervisor_starts_a_dead_worker_again_and_no_mail_is_lost(server: Bridgehead, sink: Sink) -> None:
    server.start()
    for round_ in range(3):
        workers = [worker["pid"] for worker in call(server.state, "server")["workers"]]
        os.kill(workers[round_ % 2], signal.SIGKILL)
        wait_until(
            lambda workers=workers: (
                call(server.state, "server")["ready"]  # type: ignore[misc]  # bound now
                and workers != [worker["pid"] for worker in call(server.state, "server")["workers"]]
            ),
            "a new worker",
        )
        send(server.port, f"after {round_}")
    wait_subjects(sink, "after 0", "after 1", "after 2")
    assert [event["event"] for event in server.events("child-ended")] == ["child-ended"] * 3


def test_supervisor_applies_a_changed_file_without_dropping_a_session(server: Bridgehead, sink: Sink) -> None:
    server.start()
    old, new = server.port, free_port()
    with smtplib.SMTP("127.0.0.1", old, local_hostname="client.test") as session:
        session.ehlo()
        server.port = new
        server.configure(smart_host(sink.port))
        assert server.reload() == "reload"
        wait_until(lambda: greets(new), "a greeting on the new port")
        wait_until(lambda: not greets(old), "the old port closed")
        session.sendmail("amy@contoso.com", ["bob@fabrikam.com"], MESSAGE.format(subject="old session"))
    send(new, "new port")
    wait_subjects(sink, "old session", "new port")


def test_supervisor_keeps_the_old_configuration_when_the_changed_file_has_errors(
    server: Bridgehead, sink: Sink
) -> None:
    server.start()
    before = call(server.state, "server")["generation"]
    server.configure(smart_host(sink.port, "allow_relay = true"))
    assert server.reload() == "reload-refused"
    status = call(server.state, "server")
    assert status["generation"] == before
    assert "allow_relay" in status["refusals"][0]
    send(server.port, "still serving")
    wait_subjects(sink, "still serving")


def test_supervisor_warns_of_what_a_changed_file_leaves_unclear(server: Bridgehead, sink: Sink) -> None:
    server.start()
    before = len(server.events("configuration-warning"))
    server.configure(f'{smart_host(sink.port)}\n[[accepted_domain]]\ndomain = "contoso.com"\n')
    assert server.reload() == "reload"
    *_, warned = server.events("configuration-warning")
    assert len(server.events("configuration-warning")) > before
    assert "contoso.com" in str(warned)


def test_supervisor_is_not_ready_while_the_disk_has_too_little_room(server: Bridgehead, sink: Sink) -> None:
    console = free_port()
    server.configure(smart_host(sink.port), console=f"127.0.0.1:{console}")
    server.start()
    wait_until(lambda: fetched(console, "/healthz/ready")[0] == 200, "a server that is ready")
    enough = server.configuration.read_text()
    server.configuration.write_text(enough.replace("[node]", "[node]\nmin_free_mb = 1_000_000_000"))
    assert server.reload() == "reload"
    with smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test") as client:
        client.ehlo()
        wait_until(lambda: refused(client), "452 to new mail")
    assert not call(server.state, "server")["ready"]
    status, text = fetched(console, "/healthz/ready")
    assert status == 503
    assert "min_free_mb" in json.loads(text)["detail"]
    assert "bridgehead_ready 0.0" in fetched(console, "/metrics")[1]
    assert "new mail gets 452 4.3.1" in server.command("status").stdout
    server.configuration.write_text(enough)
    assert server.reload() == "reload"
    wait_until(lambda: fetched(console, "/healthz/ready")[0] == 200, "a server that is ready again")
    send(server.port, "room again")
    wait_subjects(sink, "room again")
    assert [len(server.events(name)) for name in ("disk-full", "disk-room")] == [1, 1]


def test_supervisor_tells_of_a_spool_that_cannot_be_written_until_it_can(
    new_bridgehead: NewBridgehead, sink: Sink, small_volume: Path
) -> None:
    server = new_bridgehead()
    server.state = small_volume
    server.configure(smart_host(sink.port), workers=1)
    server.configuration.write_text(server.configuration.read_text().replace("[node]", "[node]\nmin_free_mb = 0"))
    server.start()
    filler = small_volume / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(smtplib.SMTPDataError, match=r"4\.3\.1"):
        send(server.port, "x" * 200_000)
    wait_until(lambda: not call(server.state, "server")["ready"], "a server that is not ready")
    assert "cannot write its spool" in server.command("status").stdout
    filler.unlink()
    wait_until(lambda: call(server.state, "server")["ready"], "a server that is ready again, without any mail")
    send(server.port, "room again")
    wait_subjects(sink, "room again")
    assert [len(server.events(name)) for name in ("spool-unwritable", "spool-writable")] == [1, 1]


TWO_CONNECTORS = """
[[connector]]
name = "Partner"
route = "smart-hosts"
smart_hosts = "[127.0.0.1]:{closed}"
address_spaces = ["SMTP:*.partner.test;1"]

[[connector]]
name = "Leaving"
route = "smart-hosts"
smart_hosts = "[127.0.0.1]:{closed}"
address_spaces = ["SMTP:*;1"]
"""
BACKUP = """
[[connector]]
name = "Backup"
route = "smart-hosts"
smart_hosts = "[127.0.0.1]:{closed}"
address_spaces = ["SMTP:*;1"]
"""


def test_supervisor_and_check_name_what_waits_for_a_connector_that_leaves_and_where_it_goes(
    server: Bridgehead,
) -> None:
    closed = free_port()
    server.configure(TWO_CONNECTORS.format(closed=closed))
    server.start()
    for recipient in ("a@one.test", "b@one.test", "c@two.test", "d@sub.partner.test"):
        with smtplib.SMTP("127.0.0.1", server.port, local_hostname="client.test") as client:
            client.sendmail("amy@contoso.com", [recipient], MESSAGE.format(subject=recipient))
    server.configure(BACKUP.format(closed=closed))
    foreseen = server.command("check").stdout
    assert 'connector "Leaving" is removed: 3 messages wait for it\n    one.test, two.test: by "Backup"\n' in foreseen
    assert (
        'connector "Partner" is removed: 1 message waits for it\n    sub.partner.test: by "Backup", froz' in foreseen
    )
    answer = server.ask("check")["waiting"]
    assert (answer["source"], [one["connector"] for one in answer["departures"]]) == (
        "server",
        ["Leaving", "Partner"],
    )
    assert server.reload() == "reload"
    first, second = [event["text"] for event in server.events("reload-waiting")]
    assert first == 'connector "Leaving" is removed: 3 messages wait for it; one.test, two.test: by "Backup"'
    assert second.startswith(
        'connector "Partner" is removed: 1 message waits for it; sub.partner.test: by "Backup", fr'
    )
    wait_until(lambda: len(server.events("held")) == 1, "the mail that would go a weaker way frozen")
    gone = 'connector "Partner" is not in the file any more'
    assert f'frozen until it is released, by "Backup"; {gone}' in server.command("queue", "list").stdout
    assert gone in server.command("trace", "--recipient", "d@sub.partner.test").stdout
    assert server.terminate() == 0
    assert gone in server.command("queue", "list").stdout  # the spool knows it, too


def test_supervisor_lets_fewer_workers_adopt_the_mail_of_those_that_are_gone(server: Bridgehead, sink: Sink) -> None:
    server.configure(smart_host(free_port()), workers=3)
    server.start()
    for number in range(12):
        send(server.port, f"waiting {number}")
    assert server.terminate() == 0
    assert {path.name for path in (server.state / "spool").glob("p*.db")} == {"p0.db", "p1.db", "p2.db"}
    server.configure(smart_host(sink.port), workers=1)
    server.start()
    wait_subjects(sink, *(f"waiting {number}" for number in range(12)))
    assert server.terminate() == 0
    assert {path.name for path in (server.state / "spool").glob("p*.db")} == {"p0.db"}


def test_a_takeover_that_was_cut_short_is_completed_though_there_are_as_many_workers_as_before(
    server: Bridgehead, sink: Sink
) -> None:
    server.configure(smart_host(free_port()), workers=3)
    server.start()
    for number in range(12):
        send(server.port, f"waiting {number}")
    assert server.terminate() == 0
    inserted = 3  # the step of the disk after which both partitions have what moves
    with pytest.raises(PowerLossError):
        adopt(server.state, 0, 1, CrashDisk(inserted, after=True))
    server.configure(smart_host(sink.port), workers=3)
    server.start()
    wait_subjects(sink, *(f"waiting {number}" for number in range(12)))
    wait_until(lambda: len(server.events("ready")) == 2, "all workers, the one whose partition moved too")
    assert server.terminate() == 0
    assert {path.name for path in (server.state / "spool").glob("p*.db")} == {"p0.db", "p1.db", "p2.db"}
    assert set(sink.counts(b"Subject").values()) == {1}
