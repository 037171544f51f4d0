"""The replies by which a session refuses: policy, limits and troubles of ours (RFC 5321 4.2, RFC 3463)."""

from __future__ import annotations

from typing import Final

from bridgehead.core.reply import Reply
from bridgehead.spool.contract import SpoolLostError

NOT_ALLOWED: Final = Reply(554, "5.7.1", "This client may not use this server")
TOO_MANY_SESSIONS: Final = Reply(421, "4.3.2", "Too many sessions, try again later")
STOPPING: Final = Reply(421, "4.3.2", "Service is closing, try again later")
TIMED_OUT: Final = Reply(421, "4.4.2", "Timed out waiting for you")
NEEDS_TLS: Final = Reply(530, "5.7.0", "STARTTLS is required first")
NEEDS_AUTHENTICATION: Final = Reply(530, "5.7.0", "Authentication is required")
NO_STORAGE: Final = Reply(452, "4.3.1", "Not enough storage now, try again later")
SESSION_FULL: Final = Reply(421, "4.7.0", "Too much mail in one session, connect again")
TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "Too many recipients")
TOO_MANY_HOPS: Final = Reply(554, "5.4.6", "Too many hops: this message is going in circles")
OUR_FAULT: Final = Reply(451, "4.3.0", "A local error, try again later")
BAD_CREDENTIALS: Final = Reply(535, "5.7.8", "Authentication credentials invalid")
CREDENTIALS_LATER: Final = Reply(454, "4.7.0", "Temporary authentication failure, try again later")
TOO_MANY_FAILURES: Final = Reply(421, "4.7.0", "Too many failed authentications")


def not_stored(error: Exception) -> Reply:
    """The answer where the spool did not take a message: the disk's fault, or a defect of ours."""
    return OUR_FAULT if isinstance(error, SpoolLostError) else NO_STORAGE
