"""Who may speak, and whose recipients are taken: the relay policy (Exchange: Access tab of a virtual server).

`admit` is the only gate between RCPT and the spool. It asks `route`, so what nobody may relay or nothing serves is
refused at RCPT instead of bounced later. What a client can forge (the envelope sender) never opens the gate.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from bridgehead.core.address import Mailbox, PathFault, is_suspicious_local_part, parse_mailbox
from bridgehead.core.client import Client, is_granted
from bridgehead.core.link_state import ALL_UP
from bridgehead.core.organization import (
    AcceptedDomain,
    ConnectionControl,
    DomainType,
    Organization,
    RelayRestrictions,
)
from bridgehead.core.reply import Reply
from bridgehead.core.routing import (
    Decision,
    Here,
    MessageProperties,
    Routed,
    Unroutable,
    holds_for_domain,
    is_known,
    route,
)

UNABLE_TO_RELAY: Final = Reply(550, "5.7.1", "Unable to relay for this recipient")
SUSPICIOUS: Final = Reply(550, "5.7.1", "Unable to relay for this form of address")
NO_POSTMASTER: Final = Reply(550, "5.1.1", "No postmaster is configured here")
ALL_REFUSED: Final = Reply(554, "5.7.1", "This message is not allowed for any of its recipients")
"""For the end of data, when `recheck` refuses every recipient."""


class Admission(StrEnum):
    """The rule by which a recipient was taken or not."""

    POSTMASTER = "postmaster"
    ACCEPTED_DOMAIN = "accepted-domain"
    CONNECTOR = "connector"
    """The connector that takes it has `allow_relay`."""
    AUTHENTICATED = "authenticated"
    LIST = "list"
    NOT_ALLOWED = "not-allowed"
    SUSPICIOUS = "suspicious"
    UNROUTABLE = "unroutable"
    """Known to nobody, or served by nothing: `route` says so."""


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """The recipient is taken."""

    address: str
    """Where the mail goes: as given, but for a postmaster without a mailbox of its own."""
    domain: str
    rule: Admission
    decision: Decision | None = None
    """The way it would go, all links taken as up; `None` for a postmaster."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The recipient is not taken."""

    reply: Reply
    rule: Admission


Verdict: TypeAlias = Admitted | Refused

FAMILIAR_MAX: Final = 16
"""Domains that the gate of one session remembers, some 500 octets each."""
_GRANTS: Final = frozenset((Admission.AUTHENTICATED, Admission.LIST))
"""What lets a client relay to anywhere."""


def may_connect(control: ConnectionControl, client: Client) -> bool:
    """Whether a client may open a session at all."""
    return is_granted(control.mode, control.clients, client)


def may_relay(relay: RelayRestrictions, client: Client) -> Admission | None:
    """By which rule the client may relay to anywhere, or `None` if it may not."""
    if relay.authenticated and client.user:
        return Admission.AUTHENTICATED
    return Admission.LIST if is_granted(relay.mode, relay.clients, client) else None


def admit(
    recipient: Mailbox, client: Client, message: MessageProperties, here: Here, organization: Organization
) -> Verdict:
    """The decision at RCPT. `recipient` comes from `parse_forward_path`, `message.size` is what SIZE= said."""
    accepted = organization.accepted_domain_index.best(recipient.domain)
    if recipient.is_postmaster and (accepted is not None or not recipient.domain):
        return _postmaster(recipient, accepted, organization)
    granted = may_relay(organization.virtual_server(here.virtual_server).relay, client)
    if granted is None and is_suspicious_local_part(recipient.local_part):
        return Refused(SUSPICIOUS, Admission.SUSPICIOUS)
    decision = route(recipient, message, here, organization, ALL_UP)
    if accepted is not None:
        rule = Admission.ACCEPTED_DOMAIN
    elif granted is not None:
        rule = granted
    elif _allows_relay(decision, here, organization):
        rule = Admission.CONNECTOR
    else:
        return Refused(UNABLE_TO_RELAY, Admission.NOT_ALLOWED)
    if isinstance(decision.result, Unroutable):
        return Refused(decision.result.reply, Admission.UNROUTABLE)
    return Admitted(recipient.address, recipient.domain, rule, decision)


class Gate:
    """`admit` for one client at one place by one organization, which remembers where its mail usually goes.

    Remembered are domains of others that the client may relay to and to which no sender, size, recipient or list of
    accepted domains has a say in the decision.
    """

    __slots__ = ("_client", "_familiar", "_here", "_organization")

    def __init__(self, client: Client, here: Here, organization: Organization) -> None:
        self._client = client
        self._here = here
        self._organization = organization
        self._familiar: dict[str, tuple[Admission, Decision]] = {}

    @property
    def familiar_count(self) -> int:
        """How many domains are remembered."""
        return len(self._familiar)

    def admit(self, recipient: Mailbox, message: MessageProperties) -> Verdict:
        """As the function of this name."""
        domain = recipient.domain
        known = self._familiar.get(domain)
        if known is not None:
            return Admitted(recipient.address, domain, *known)
        verdict = admit(recipient, self._client, message, self._here, self._organization)
        if (
            isinstance(verdict, Admitted)
            and verdict.decision is not None
            and verdict.rule in _GRANTS
            and holds_for_domain(verdict.decision, domain, self._organization)
        ):
            if len(self._familiar) >= FAMILIAR_MAX:
                self._familiar.clear()
            self._familiar[domain] = verdict.rule, verdict.decision
        return verdict


def recheck(
    recipient: Admitted, client: Client, message: MessageProperties, here: Here, organization: Organization
) -> Verdict:
    """The decision again at end of data, when the real size is known, with the configuration MAIL began with.

    All recipients refused: answer `ALL_REFUSED`; some: a DSN for those.
    """
    if not _depends_on_size(recipient.decision, organization):
        return recipient
    mailbox = parse_mailbox(recipient.address)
    if mailbox is None:
        raise ValueError(f"not an address that was admitted: {recipient.address!r}")
    return admit(mailbox, client, message, here, organization)


def recipient_fault(fault: PathFault) -> Reply:
    """What to answer to a RCPT whose path is none."""
    if fault is PathFault.SECOND_AT:
        return SUSPICIOUS
    if fault is PathFault.NEEDS_SMTPUTF8:
        return Reply(553, "5.6.7", "This address needs SMTPUTF8")
    return Reply(501, "5.1.3", "Malformed recipient address")


def sender_fault(fault: PathFault) -> Reply:
    """What to answer to a MAIL whose path is none."""
    if fault is PathFault.NEEDS_SMTPUTF8:
        return Reply(553, "5.6.7", "This address needs SMTPUTF8")
    return Reply(501, "5.1.7", "Malformed sender address")


def _postmaster(recipient: Mailbox, accepted: AcceptedDomain | None, organization: Organization) -> Verdict:
    """Always taken (RFC 5321 4.5.1), by the organization's postmaster where the domain has none of its own."""
    if accepted is not None and (accepted.type is not DomainType.AUTHORITATIVE or is_known(accepted, recipient)):
        return Admitted(recipient.address, recipient.domain, Admission.POSTMASTER)
    target = parse_mailbox(organization.postmaster)
    if target is None:
        return Refused(NO_POSTMASTER, Admission.UNROUTABLE)
    return Admitted(target.address, target.domain, Admission.POSTMASTER)


def _allows_relay(decision: Decision, here: Here, organization: Organization) -> bool:
    """Whether every connector that ties has `allow_relay` and this virtual server for a bridgehead.

    A choice in which the envelope sender had a part grants nothing: anyone can forge it.
    """
    if not isinstance(decision.result, Routed) or any(record.rule.tests_sender for record in decision.considered):
        return False
    return all(_connector_allows(found.connector, here, organization) for found in decision.result.routes)


def _connector_allows(name: str, here: Here, organization: Organization) -> bool:
    connector = organization.connector(name)
    return (
        connector is not None
        and connector.allow_relay
        and here.virtual_server in connector.bridgeheads
        and not (connector.restrictions.accept_from or connector.restrictions.reject_from)
    )


def _depends_on_size(decision: Decision | None, organization: Organization) -> bool:
    """Whether another size could change a decision: a connector that was looked at has a limit."""
    if decision is None:
        return False
    for record in decision.considered:
        connector = organization.connector(record.connector)
        if connector is None or connector.restrictions.size_less_than:
            return True
    return False
