"""Asks the one routing function for delivery, and compares ways: would mail go a weaker way than before?

Mail that waits for a connector which is then disabled or removed may have another route, but a less specific one or
one with a weaker TLS level might take it where it must never go. Such mail is frozen until an operator has looked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import msgspec

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import Organization, TlsLevel
from bridgehead.core.reply import Reply
from bridgehead.core.routing import (
    NO_ROUTE,
    Decision,
    Here,
    MessageProperties,
    Routed,
    Unreachable,
    Unroutable,
    choose,
    decision_json,
    here_at,
    holds_for_domain,
    properties_of,
    route,
)
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.destination import key_of

FAMILIAR_MAX: Final = 1024
"""Ways that are remembered, some 700 octets each: nearly all mail goes where mail went before."""
_PLAIN_NAME_SPECIFICITY: Final = 1000  # more than the longest suffix: a domain has at most 255 octets
_LOCAL_SPECIFICITY: Final = 1_000_000


class Way(msgspec.Struct, gc=False):
    """Where one recipient goes now. Never changed, but that it remembers its JSON."""

    key: QueueKey | None
    """`None`: nothing serves it."""
    decision: Decision
    _json: msgspec.Raw | None = None

    @property
    def refusal(self) -> Reply | None:
        """What a sender would be told of a recipient that nothing takes; `None` for one that has to wait."""
        result = self.decision.result
        return result.reply if isinstance(result, Unroutable) else None

    def json(self) -> msgspec.Raw:
        """The decision for a tracking event."""
        if self._json is None:
            self._json = decision_json(self.decision)
        return self._json


class Router:
    """Routes recipients by one organization and one link state. Both are replaced whole by whoever owns it."""

    def __init__(self, server: str, organization: Organization, link_state: LinkState = ALL_UP) -> None:
        self.organization = organization
        self.link_state = link_state
        self.server = server
        self._heres: dict[str, Here] = {}
        self._formers: dict[str, Router] = {}
        self._familiar: dict[tuple[str, str], Way] = {}
        """By domain and virtual server, where nothing else decides."""

    @property
    def familiar_count(self) -> int:
        """How many ways are remembered."""
        return len(self._familiar)

    def way(self, message_id: MessageId, envelope: Envelope, recipient: Recipient) -> Way:
        """The way of one recipient."""
        way = self._familiar.get((recipient.domain, envelope.virtual_server))
        return way or self.ways(message_id, envelope, (recipient,))[0]

    def ways(self, message_id: MessageId, envelope: Envelope, recipients: tuple[Recipient, ...]) -> list[Way]:
        """The ways of some recipients of a message; equal ones are the same object."""
        here, properties = self._here(envelope), properties_of(envelope)
        if here is None:
            return [Way(None, Decision(Unroutable(NO_ROUTE)))] * len(recipients)
        if len(recipients) == 1:
            return [self._way(message_id, recipients[0], properties, here)]
        by_decision: dict[Decision, Way] = {}
        ways = []
        for recipient in recipients:
            way = self._way(message_id, recipient, properties, here)
            ways.append(by_decision.setdefault(way.decision, way))
        return ways

    def with_links(self, link_state: LinkState) -> Router:
        """The same organization seen by another link state."""
        return Router(self.server, self.organization, link_state)

    def rivals_of(self, connectors: Collection[str]) -> set[str]:
        """These connectors and all that share an address space with one of them: where a change of links matters.

        Mail moves only between connectors of the same specificity, which for one domain is the same pattern.
        """
        patterns = {
            space.pattern
            for one in self.organization.connectors
            if one.name in connectors
            for space in one.address_spaces
        }
        return {
            one.name
            for one in self.organization.connectors
            if any(space.pattern in patterns for space in one.address_spaces)
        }

    def first_virtual_server(self) -> str:
        """Key of this server's first virtual server: it sends DSNs; empty where the server has none."""
        return next((one.key for one in self.organization.virtual_servers if one.server == self.server), "")

    def is_weaker(
        self, former: Router, connector: str, message: tuple[MessageId, Envelope], recipient: Recipient
    ) -> bool:
        """Whether the way is less specific, or has a weaker TLS level, than by `connector` in `former`.

        Links count as up: what is down today is no weaker for it.
        """
        before, now = former.strength(message, recipient, connector), self.strength(message, recipient)
        return any(new < old for new, old in zip(now, before, strict=True))

    def is_weaker_than_before(
        self, connector: str, message: tuple[MessageId, Envelope], recipient: Recipient
    ) -> bool:
        """The same, of a message that was last tried through `connector`, if that is disabled or gone now."""
        found = self.organization.connector(connector)
        if found is None:
            return True  # its address spaces and TLS level are not known any more: an operator has to look
        if found.enabled:
            return False
        former = self._formers.get(connector)
        if former is None:
            connectors = tuple(
                replace(one, enabled=True) if one is found else one for one in self.organization.connectors
            )
            former = Router(self.server, replace(self.organization, connectors=connectors))
            self._formers[connector] = former
        return self.is_weaker(former, connector, message, recipient)

    def strength(
        self, message: tuple[MessageId, Envelope], recipient: Recipient, connector: str = ""
    ) -> tuple[int, int]:
        """How specific the way is, and how strong its TLS level: by `connector` if it serves the recipient.

        Of connectors that tie, another one might be chosen than the mail waits for; hence the name.
        """
        here = self._here(message[1])
        if here is None:
            return -1, -1
        decision = route(recipient, properties_of(message[1]), here, self.organization, ALL_UP)
        if not isinstance(decision.result, Routed | Unreachable):
            return -1, -1
        chosen = choose(decision.result.routes, message[0])
        if chosen.local is not None:
            return _LOCAL_SPECIFICITY, TlsLevel.VERIFY.strength
        serves = any(one.connector == connector for one in decision.considered)
        found = self.organization.connector(connector if serves else chosen.connector)
        if found is None:
            return 0, TlsLevel.OPPORTUNISTIC.strength
        return _specificity(decision, found.name), found.security.tls.strength

    def _way(self, message_id: MessageId, recipient: Recipient, properties: MessageProperties, here: Here) -> Way:
        way = self._familiar.get((recipient.domain, here.virtual_server))
        if way is not None:
            return way
        decision = route(recipient, properties, here, self.organization, self.link_state)
        result = decision.result
        if not isinstance(result, Routed | Unreachable):
            return Way(None, decision)
        way = Way(key_of(choose(result.routes, message_id)), decision)
        if len(result.routes) == 1 and holds_for_domain(decision, recipient.domain, self.organization):
            if len(self._familiar) >= FAMILIAR_MAX:
                self._familiar.clear()
            self._familiar[recipient.domain, here.virtual_server] = way
        return way

    def _here(self, envelope: Envelope) -> Here | None:
        """The virtual server that received the message; this server's first one if that has left the file."""
        here = self._heres.get(envelope.virtual_server)
        if here is None:
            key = envelope.virtual_server if self._has(envelope.virtual_server) else self.first_virtual_server()
            if not key:
                return None
            here = self._heres[envelope.virtual_server] = here_at(self.organization, key)
        return here

    def _has(self, key: str) -> bool:
        return any(one.key == key for one in self.organization.virtual_servers)


def _specificity(decision: Decision, connector: str) -> int:
    """Grows with how specific the address space is that decided: `*`, longer and longer suffixes, the plain name."""
    pattern = next((one.pattern for one in reversed(decision.considered) if one.connector == connector), "*")
    return len(pattern) if pattern.startswith("*") else _PLAIN_NAME_SPECIFICITY + len(pattern)
