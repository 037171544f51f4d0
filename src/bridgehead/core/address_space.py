"""The written form of an address space: `[SMTP:]PATTERN[;COST]` (Exchange: Address Space tab of a connector)."""

from __future__ import annotations

from typing import Final

from bridgehead.core.error import ConfigurationError
from bridgehead.core.organization import AddressSpace
from bridgehead.core.pattern import parse_pattern

COST_MIN: Final = 1
COST_MAX: Final = 100
_EXPECTED: Final = 'expected "SMTP:PATTERN;COST", for example "SMTP:*.fabrikam.com;10"'


def parse_address_space(text: str) -> AddressSpace:
    """Read `"SMTP:*.fabrikam.com;10"`, `"fabrikam.com"`; `ConfigurationError` says what is wrong."""
    written, semicolon, cost = text.strip().partition(";")
    kind, colon, rest = written.partition(":")
    if colon and "[" not in kind:
        if kind.strip().upper() != "SMTP":
            raise ConfigurationError(f'address spaces of type "{kind}" do not exist here, only SMTP; {_EXPECTED}')
        written = rest
    if not written.strip():
        raise ConfigurationError(f'"{text}" names no domain; {_EXPECTED}')
    return address_space(written.strip(), _cost(cost.strip(), text) if semicolon else COST_MIN)


def address_space(pattern: str, cost: int) -> AddressSpace:
    """An address space from its parts, `{ address = "*.fabrikam.com", cost = 10 }`; errors as above."""
    if not COST_MIN <= cost <= COST_MAX:
        raise ConfigurationError(f"a cost of {cost} is out of range; expected {COST_MIN} to {COST_MAX}")
    return AddressSpace(parse_pattern(pattern), cost)


def _cost(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise ConfigurationError(f'"{digits}" in "{text}" is no cost; expected {COST_MIN} to {COST_MAX}')
    return int(digits)
