"""The replies that the server half gives by itself (RFC 5321 4.2, RFC 3463, RFC 2034, RFC 4954 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bridgehead.core.reply import Reply
from bridgehead.smtp.server_state import State

UNKNOWN_COMMAND: Final = Reply(500, "5.5.2", "Command not recognized")
LINE_TOO_LONG: Final = Reply(500, "5.5.2", "Line too long")
AUTHENTICATION_LINE_TOO_LONG: Final = Reply(500, "5.5.6", "Authentication exchange line is too long")
BARE_CONTROL: Final = Reply(500, "5.5.2", "A command line ends with CRLF and holds no other CR, LF or NUL")
SYNTAX: Final = Reply(501, "5.5.4", "Syntax error in parameters or arguments")
NO_ARGUMENT: Final = Reply(501, "5.5.4", "This command takes no parameters")
BAD_HELLO: Final = Reply(501, "5.5.4", "A domain name or address literal is needed")
BAD_SENDER: Final = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT: Final = Reply(501, "5.1.3", "Bad recipient address syntax")
UNKNOWN_PARAMETER: Final = Reply(555, "5.5.4", "Parameter not recognized or not offered")
BAD_PARAMETER: Final = Reply(501, "5.5.4", "Bad value of a parameter")
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "Command not implemented")
BAD_SEQUENCE: Final = Reply(503, "5.5.1", "Bad sequence of commands")
NO_HELLO: Final = Reply(503, "5.5.1", "Send EHLO or HELO first")
UNSYNCHRONIZED: Final = Reply(554, "5.5.0", "Protocol error: sent before our reply")
TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "Too many errors")
TOO_MANY_IDLE: Final = Reply(421, "4.7.0", "Too many commands without a message")
BUFFER_FULL: Final = Reply(421, "4.7.0", "Too much sent before our replies")

TOO_LARGE: Final = Reply(552, "5.3.4", "Message is larger than this server takes")
BARE_CONTENT: Final = Reply(550, "5.6.0", "Bare CR, bare LF or NUL in the message is not accepted")

NO_TLS: Final = Reply(502, "5.5.1", "TLS is not available")
TLS_TWICE: Final = Reply(503, "5.5.1", "TLS is active already")
TLS_READY: Final = Reply(220, "2.0.0", "Ready to start TLS")

AUTH_UNAVAILABLE: Final = Reply(502, "5.5.1", "Authentication is not available")
AUTH_NEEDS_TLS: Final = Reply(538, "5.7.11", "Encryption is required to authenticate")
AUTH_TWICE: Final = Reply(503, "5.5.1", "Authenticated already")
AUTH_MECHANISM: Final = Reply(504, "5.5.4", "Mechanism not offered")
AUTH_MALFORMED: Final = Reply(501, "5.5.2", "Cannot decode the response")
AUTH_CANCELLED: Final = Reply(501, "5.7.0", "Authentication cancelled")
AUTH_DONE: Final = Reply(235, "2.7.0", "Authentication successful")

SENDER_OK: Final = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Recipient OK")
START_DATA: Final = Reply(354, "", "Send the message; end with <CRLF>.<CRLF>")
ACCEPTED: Final = Reply(250, "2.0.0", "OK")
RESET: Final = Reply(250, "2.0.0", "Reset")
CANNOT_VERIFY: Final = Reply(252, "2.1.5", "Cannot verify, but will take mail for it")
HELP: Final = Reply(214, "2.0.0", "See RFC 5321")
BYE: Final = Reply(221, "2.0.0", "Closing the connection")

ACCEPTANCE: Final[Mapping[State, bytes]] = {
    State.MAIL_ASKED: SENDER_OK.encode(),
    State.FIRST_RCPT_ASKED: RECIPIENT_OK.encode(),
    State.RCPT_ASKED: RECIPIENT_OK.encode(),
    State.DATA_ASKED: START_DATA.encode(),
    State.CHUNK_ASKED: b"",
    State.LAST_CHUNK_ASKED: b"",
    State.END_ASKED: ACCEPTED.encode(),
    State.CREDENTIALS_ASKED: AUTH_DONE.encode(),
}
"""The usual positive reply to each question, encoded once."""
