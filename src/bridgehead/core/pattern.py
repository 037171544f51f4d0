"""Patterns of domains and the index that finds them: address spaces, accepted domains, lists of senders and clients.

A pattern is `"*"` (covers all), `"*.x"` (covers x and all below it), or a name or address literal (covers itself
alone). Exact is more specific than a wildcard, a longer suffix more than a shorter one, and `*` is last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from bridgehead.core.address import normalise_domain, parse_mailbox, recipient_key
from bridgehead.core.error import ConfigurationError

T = TypeVar("T")

ANY: Final = "*"
NULL_SENDER: Final = "<>"


def parse_pattern(text: str) -> str:
    """The normal form of a pattern; `ConfigurationError` says what is wrong and what was expected."""
    if text == ANY:
        return ANY
    if "@" in text:
        raise ConfigurationError(f'"{text}" is an address; a domain is expected: "{text.rpartition("@")[2]}"')
    name = text.removeprefix("*.")
    if ANY in name:
        suffix = name.rpartition(ANY)[2].lstrip(".")
        raise ConfigurationError(
            f'"{text}" has a wildcard in a place where it may not be; expected "*", "*.DOMAIN" or "DOMAIN"'
            + (f', for example "*.{suffix}"' if suffix else "")
        )
    normal = normalise_domain(name)
    if normal is None or (name != text and normal.startswith("[")):
        raise ConfigurationError(f'"{text}" is no domain; expected "*", "*.DOMAIN", "DOMAIN" or "[IP ADDRESS]"')
    return normal if name == text else f"*.{normal}"


def parse_sender(text: str) -> str:
    """The normal form of an entry of a sender list: an address, a pattern, or `"<>"`; else `ConfigurationError`."""
    if text == NULL_SENDER:
        return text
    if "@" not in text:
        return parse_pattern(text)
    mailbox = parse_mailbox(text)
    if mailbox is None:
        raise ConfigurationError(f'"{text}" is no address; expected "USER@DOMAIN", "DOMAIN", "*.DOMAIN" or "<>"')
    return recipient_key(mailbox.address, mailbox.domain)


def covers(pattern: str, domain: str) -> bool:
    """Whether a pattern covers a domain, both in normal form."""
    if pattern in {ANY, domain}:
        return True
    return pattern.startswith("*.") and f".{domain}".endswith(pattern[1:])


def specificity(pattern: str) -> tuple[int, int]:
    """Orders the patterns that cover one domain: the higher, the more specific."""
    if pattern == ANY:
        return (0, 0)
    return (1, len(pattern)) if pattern.startswith("*.") else (2, len(pattern))


def is_wider(wide: str, narrow: str) -> bool:
    """Whether `wide` covers everything that `narrow` covers, and is less specific: mail can fall from the one to the
    other."""
    return specificity(wide) < specificity(narrow) and covers(wide, narrow.removeprefix("*."))


def is_whole_top_level(pattern: str) -> bool:
    """Whether a pattern covers `*` or a whole top-level domain: too much to relay for."""
    return pattern == ANY or (pattern.startswith("*.") and "." not in pattern[2:])


class PatternIndex(Generic[T]):
    """Finds the values of all patterns that cover a domain; its cost grows with the labels of the domain alone.

    Built once, never changed. A look-up in a large index waits for memory, not for the processor: so patterns with
    the very same values share one tuple, a name of a length that no pattern has is not looked for, and the next
    pattern is looked for only when it is asked for.
    """

    __slots__ = ("_any", "_exact", "_exact_dots", "_suffix_dots", "_suffixes")

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        """Take patterns in normal form with their values; values of one pattern keep their order."""
        collected: dict[str, list[T]] = {}
        for pattern, value in entries:
            collected.setdefault(pattern, []).append(value)
        shared: dict[tuple[int, ...], tuple[T, ...]] = {}
        by_pattern = {
            pattern: shared.setdefault(tuple(map(id, values)), tuple(values)) for pattern, values in collected.items()
        }
        self._any = by_pattern.pop(ANY, ())
        self._suffixes = {pattern[2:]: found for pattern, found in by_pattern.items() if pattern.startswith("*.")}
        self._exact = {pattern: found for pattern, found in by_pattern.items() if not pattern.startswith("*.")}
        self._suffix_dots = frozenset(name.count(".") for name in self._suffixes)
        self._exact_dots = frozenset(name.count(".") for name in self._exact)

    def find(self, domain: str) -> tuple[str, tuple[T, ...]] | None:
        """The most specific pattern that covers `domain`, and its values, of which there is one at least."""
        dots = domain.count(".")
        if dots in self._exact_dots:
            values = self._exact.get(domain)
            if values is not None:
                return domain, values
        return self._find_suffix(domain, dots)

    def find_wider(self, pattern: str) -> tuple[str, tuple[T, ...]] | None:
        """The next less specific pattern that covers the same domain, after one that was found."""
        if pattern == ANY:
            return None
        name = pattern[2:].partition(".")[2] if pattern.startswith("*.") else pattern
        return self._find_suffix(name, name.count("."))

    def levels(self, domain: str) -> Iterator[tuple[str, tuple[T, ...]]]:
        """All patterns that cover `domain` with their values, most specific first."""
        found = self.find(domain)
        while found is not None:
            yield found
            found = self.find_wider(found[0])

    def best(self, domain: str) -> T | None:
        """The first value of the most specific pattern that covers `domain`."""
        found = self.find(domain)
        return None if found is None else found[1][0]

    def _find_suffix(self, name: str, dots: int) -> tuple[str, tuple[T, ...]] | None:
        """The longest suffix of `name` that a wildcard stands before; a literal ends with "]", so none of it is."""
        wanted = self._suffix_dots
        start = 0
        while wanted:
            if dots in wanted:
                suffix = name[start:]
                values = self._suffixes.get(suffix)
                if values is not None:
                    return f"*.{suffix}", values
            if not dots:
                break
            start = name.find(".", start) + 1
            dots -= 1
        return (ANY, self._any) if self._any else None

    def __bool__(self) -> bool:
        return bool(self._any or self._suffixes or self._exact)


class SenderSet:
    """A list of envelope senders: addresses, patterns of domains, `"<>"`. Built once, never changed."""

    __slots__ = ("_addresses", "_domains")

    def __init__(self, entries: Iterable[str]) -> None:
        """Take entries in normal form (see `parse_sender`)."""
        listed = tuple(entries)
        self._addresses = frozenset(entry for entry in listed if entry == NULL_SENDER or "@" in entry)
        self._domains = PatternIndex((entry, True) for entry in listed if entry not in self._addresses)

    def includes(self, sender: str) -> bool:
        """Whether a reverse path is listed; empty is the null reverse path."""
        if not sender:
            return NULL_SENDER in self._addresses
        mailbox = parse_mailbox(sender)
        if mailbox is None:
            return False
        return self._domains.find(mailbox.domain) is not None or (
            recipient_key(sender, mailbox.domain) in self._addresses
        )
