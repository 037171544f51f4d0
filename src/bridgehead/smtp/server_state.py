"""The states of an SMTP session seen from the server, as one table (RFC 5321 4.1.4, RFC 3030, 3207, 4954).

Rules of this file: it knows states and inputs, nothing else. What is not in the table is refused (503) and changes
nothing. A question to the driver is a state of its own, in which no command is looked at; so commands that the
client pipelined wait until it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where the session is. An `IntEnum` because its hash is that of an integer: the table is asked for each line."""

    CONNECTED = 0
    """We have not spoken yet."""
    STRANGER = 1
    """Greeted, or fresh after the TLS handshake: EHLO is due."""
    READY = 2
    MAIL_ASKED = 3
    MAIL = 4
    FIRST_RCPT_ASKED = 5
    RCPT = 6
    RCPT_ASKED = 7
    DATA_ASKED = 8
    DATA = 9
    CHUNK_ASKED = 10
    """The first BDAT waits for the driver; its octets follow whatever the answer is."""
    CHUNK = 11
    LAST_CHUNK_ASKED = 12
    LAST_CHUNK = 13
    BETWEEN_CHUNKS = 14
    END_ASKED = 15
    AUTHENTICATING = 16
    CREDENTIALS_ASKED = 17
    TLS = 18
    """220 is sent; whatever arrives before the handshake is thrown away (RFC 3207 4.2, CVE-2011-0411)."""
    CLOSED = 19


class Input(IntEnum):
    """What moves the session: a command of the client, an answer of the driver, or the content's progress."""

    EHLO = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    BDAT = 5
    BDAT_LAST = 6
    RSET = 7
    NOOP = 8
    STARTTLS = 9
    AUTH = 10
    QUIT = 11
    ACCEPTED = 12
    REFUSED = 13
    CHUNK_END = 14
    CONTENT_END = 15
    CREDENTIALS = 16
    CANCELLED = 17
    GREETED = 18
    TLS_STARTED = 19
    CLOSE = 20


_COMMANDS: Final = (State.STRANGER, State.READY, State.MAIL, State.RCPT, State.BETWEEN_CHUNKS)
"""States in which a command line is read."""


def _build() -> Mapping[State, Mapping[Input, State]]:
    s, i = State, Input
    table: dict[State, dict[Input, State]] = {state: {i.CLOSE: s.CLOSED} for state in State}
    for state in _COMMANDS:
        table[state] |= {i.EHLO: s.READY, i.HELO: s.READY, i.NOOP: state, i.QUIT: s.CLOSED}
        table[state][i.RSET] = s.STRANGER if state is s.STRANGER else s.READY
    answers = {
        s.MAIL_ASKED: (s.MAIL, s.READY),
        s.FIRST_RCPT_ASKED: (s.RCPT, s.MAIL),
        s.RCPT_ASKED: (s.RCPT, s.RCPT),
        s.DATA_ASKED: (s.DATA, s.READY),
        s.CHUNK_ASKED: (s.CHUNK, s.READY),
        s.LAST_CHUNK_ASKED: (s.LAST_CHUNK, s.READY),
        s.END_ASKED: (s.READY, s.READY),
        s.CREDENTIALS_ASKED: (s.READY, s.READY),
    }
    for state, (accepted, refused) in answers.items():
        table[state] |= {i.ACCEPTED: accepted, i.REFUSED: refused}
    table[s.CONNECTED][i.GREETED] = s.STRANGER
    table[s.READY] |= {i.MAIL: s.MAIL_ASKED, i.AUTH: s.AUTHENTICATING, i.STARTTLS: s.TLS}
    table[s.STRANGER][i.STARTTLS] = s.TLS
    table[s.MAIL][i.RCPT] = s.FIRST_RCPT_ASKED
    table[s.RCPT] |= {
        i.RCPT: s.RCPT_ASKED,
        i.DATA: s.DATA_ASKED,
        i.BDAT: s.CHUNK_ASKED,
        i.BDAT_LAST: s.LAST_CHUNK_ASKED,
    }
    table[s.BETWEEN_CHUNKS] |= {i.BDAT: s.CHUNK, i.BDAT_LAST: s.LAST_CHUNK}
    table[s.DATA][i.CONTENT_END] = s.END_ASKED
    # A chunk with a fault ends its message at once: RFC 3030 2 lets no further chunk mend it.
    table[s.CHUNK] |= {i.CHUNK_END: s.BETWEEN_CHUNKS, i.CONTENT_END: s.END_ASKED}
    table[s.LAST_CHUNK][i.CONTENT_END] = s.END_ASKED
    table[s.AUTHENTICATING] |= {i.CREDENTIALS: s.CREDENTIALS_ASKED, i.CANCELLED: s.READY}
    table[s.TLS][i.TLS_STARTED] = s.STRANGER
    return table


TABLE: Final = _build()
"""`TABLE[state][input]` is the next state; no entry: refused, nothing changes.

Plain dictionaries behind a read-only type: a proxy would double the cost of the most frequent look-up there is."""

QUESTIONS: Final = frozenset(state for state, row in TABLE.items() if Input.ACCEPTED in row)
"""States that wait for `accept` or `refuse`."""

COMMANDS: Final = frozenset(_COMMANDS)
