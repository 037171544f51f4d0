"""Real messages to relay: the corpus named by `BRIDGEHEAD_CORPUS`, else the one that lies beside the repository.

Without a corpus a dozen messages made here stand in, so that every test always has something to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.wire import BARE_LINE_END

ROOT = Path(__file__).resolve().parents[2]

MADE = {
    "empty": b"",
    "no-header": b"\r\nonly a body\r\n",
    "no-body": b"Subject: no body\r\n",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\nb.\r\n",
    "first-line-is-a-dot": b".\r\nSubject: dot\r\n\r\nx\r\n",
    "long-line": b"Subject: long\r\n\r\n" + b"x" * 20_000 + b"\r\n",
    "eight-bit": b"Subject: eight\r\n\r\n\xe6\x97\xa5\xe6\x9c\xac\r\n\xff\xfe\r\n",
    "eight-bit-header": b"Subject: \x93\xfa\x96\x7b\r\n\r\nx\r\n",
    "trailing-spaces": b"Subject: spaces  \r\n\r\nx   \r\n \r\n\t\r\n\r\n\r\n",
    "bare-line-feed": b"Subject: bare\r\n\r\none\ntwo\r\n",
    "bare-carriage-return": b"Subject: bare\r\n\r\none\rtwo\r\n",
    "nul": b"Subject: nul\r\n\r\na\0b\r\n",
    "many-hops": b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" * 31 + b"Subject: loop\r\n\r\nx\r\n",
    "mbox-line": b"From someone Mon Jan  1 00:00:00 2024\r\nSubject: mbox\r\n\r\nFrom here\r\n",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as it goes over the wire."""

    name: str
    content: bytes

    @property
    def refusal(self) -> str:
        """The enhanced status that a relay must refuse it with, or empty: it must pass unchanged."""
        if self.content.partition(b"\r\n\r\n")[0].lower().count(b"\nreceived:") + self._starts_with_trace > 30:
            return "5.4.6"
        if BARE_LINE_END.search(self.content) or b"\0" in self.content:
            return "5.6"
        return ""

    @property
    def _starts_with_trace(self) -> bool:
        return self.content[:9].lower() == b"received:"

    @property
    def parameters(self) -> str:
        """What MAIL must declare for it."""
        return "" if self.content.isascii() else " BODY=8BITMIME"


def folder(*names: str) -> Path | None:
    """A folder of the corpus, or None where there is no corpus."""
    root = os.environ.get("BRIDGEHEAD_CORPUS") or ROOT.parent / "shared" / "corpus"
    path = Path(root).joinpath(*names)
    return path if path.is_dir() else None


def on_the_wire(content: bytes) -> bytes:
    """LF-only files become CRLF, as any client would send them; mixed line ends stay. The last line gets its CRLF."""
    if b"\r" not in content:
        content = content.replace(b"\n", b"\r\n")
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def samples() -> Iterator[Sample]:
    """Every message of the corpus, and those made here."""
    for name, content in MADE.items():
        yield Sample(name, on_the_wire(content))
    path = folder("mail", "open")
    for file in sorted(path.glob("*.eml")) if path is not None else ():
        yield Sample(file.name, on_the_wire(file.read_bytes()))


def real_mx() -> list[tuple[str, str, str]]:
    """MX records of real domains, `("contoso.com.", "10", "mail.contoso.com.")`; a made one without corpus."""
    path = folder("dns")
    text = (path / "real-mx.zone").read_text() if path is not None else "real.test. 60 IN MX 10 mx.real.test."
    return re.findall(r"^(\S+\.)\s+\d+\s+IN\s+MX\s+(\d+)\s+(\S+)", text, re.MULTILINE)


def public_keys(sample: str) -> dict[bytes, bytes]:
    """DKIM public keys for a message of the corpus: DNS name, lower case with a trailing dot, -> TXT record."""
    path = folder("mail", "dkim-keys")
    if path is None:
        return {}
    keys = _key_lines(path / "maildkim__FAKE_DNS.dat")
    for file in path.glob("chasquid__*.dns"):
        keys.update(_key_lines(file))
    keys.update(_key_lines(path / f"{sample.removesuffix('.eml')}.dns"))
    # Several messages use one name for different keys: their own file goes before the others.
    test_key = path / "dkimpy__test.txt"
    if test_key.exists():
        keys.setdefault(b"test._domainkey.example.com.", test_key.read_bytes().strip())
    return keys


def _key_lines(file: Path) -> dict[bytes, bytes]:
    """Lines `NAME VALUE` or `NAME: VALUE`, continued where they end in a backslash."""
    text = file.read_text("latin-1").replace("\\\n", "") if file.exists() else ""
    found = re.findall(r"^([^\s:#]+):?[ \t]+(.*?)\s*$", text, re.MULTILINE)
    return {name.rstrip(".").lower().encode() + b".": value.encode("latin-1") for name, value in found}
