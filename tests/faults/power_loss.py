"""What a disk holds after the power went: a model of everything a file system may do with what was not synced.

`Volume` replays a record (`disk_layer`). At any point `survivors` draws one of the many trees that a machine may find
when it starts again:

* what was synced is there: the content of a file by fsync of the file, its name by fsync of its folder;
* of what was not, each 512-octet sector of each write, each change of a size, each name that came, went or changed
  is there or not, whatever came before or after it;
* after a failed fsync of a file what was not synced is never written (as Linux does), until it is written anew;
* the shared memory of SQLite (`-shm`) is gone, or full of garbage.

That is more than most file systems allow themselves, and all that POSIX promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from tests.faults.disk_layer import Entry, Kind

SECTOR: Final = 512
_SHARED_MEMORY: Final = "-shm"
_SHARED_MEMORY_OCTETS: Final = 32 * 1024

Tree: TypeAlias = Mapping[str, "bytes | Tree"]
"""Names and contents; a folder is a tree."""


class Fate(Enum):
    """What becomes of all that was not synced."""

    LOST = "nothing survives"
    KEPT = "everything survives, as after kill -9"
    NAMES = "names survive, contents do not"
    TORN = "each piece survives or not"


@dataclass(slots=True, eq=False)
class File:
    """A file: what is on the disk, and what was done since."""

    content: bytes = b""
    pending: list[Entry] = field(default_factory=list)

    def sync(self) -> None:
        """All that was done is on the disk."""
        self.content = self.as_found(Chance(Fate.KEPT, Random(0)))
        self.pending.clear()

    def as_found(self, chance: Chance) -> bytes:
        """The content after the power went."""
        if not self.pending:
            return self.content
        found = bytearray(self.content)
        for entry in self.pending:
            if entry.kind is Kind.TRUNCATE:
                if chance.keeps_content():
                    _resize(found, entry.offset)
                continue
            for start, end in _sectors(entry.offset, entry.offset + len(entry.content)):
                if chance.keeps_content():
                    if len(found) < end:
                        _resize(found, end)
                    found[start:end] = entry.content[start - entry.offset : end - entry.offset]
        return bytes(found)


@dataclass(slots=True, eq=False)
class Folder:
    """A folder: the names on the disk, those that programs see, and the changes between the two."""

    names: dict[str, Node] = field(default_factory=dict)
    seen: dict[str, Node] = field(default_factory=dict)
    pending: list[dict[str, Node | None]] = field(default_factory=list)
    """Each change holds as a whole or not: names that came, and with `None` names that went."""

    def change(self, change: dict[str, Node | None]) -> None:
        """Names come and go."""
        _apply(self.seen, change)
        self.pending.append(change)

    def sync(self) -> None:
        """All names are on the disk."""
        self.names = dict(self.seen)
        self.pending.clear()

    def as_found(self, chance: Chance) -> dict[str, Node]:
        """The names after the power went."""
        found = dict(self.names)
        for change in self.pending:
            if chance.keeps_name():
                _apply(found, change)
        return found


Node: TypeAlias = File | Folder


class Chance:
    """Says what survives, in the same way for the same seed."""

    def __init__(self, fate: Fate, draw: Random) -> None:
        self._fate = fate
        self.draw = draw
        self._share = draw.choice((0.1, 0.5, 0.9))

    def keeps_content(self) -> bool:
        """Whether a sector, or a size, is on the disk."""
        return self._fate is Fate.KEPT or (self._fate is Fate.TORN and self.draw.random() < self._share)

    def keeps_name(self) -> bool:
        """Whether a change of names is on the disk."""
        return self._fate in {Fate.KEPT, Fate.NAMES} or (self._fate is Fate.TORN and self.draw.random() < self._share)


class Volume:
    """The disk below a folder, as a record changes it."""

    def __init__(self, root: Path) -> None:
        """`root` as it is now is on the disk, all of it."""
        self._root = root
        self._files: dict[int, File] = {}
        """By inode: the file that has it now."""
        self.folder = self._load(root)

    def apply(self, entry: Entry) -> None:
        """One event."""
        match entry.kind:
            case Kind.CREATE:
                self._files[entry.inode] = file = File()
                self._change(entry.path, file)
            case Kind.WRITE | Kind.TRUNCATE:
                self._files[entry.inode].pending.append(entry)
            case Kind.SYNC:
                self._synced(entry).sync()
            case Kind.SYNC_FAILED:
                node = self._synced(entry)
                if isinstance(node, File):
                    node.pending.clear()
            case Kind.RENAME | Kind.LINK:
                self._rename_or_link(entry)
            case Kind.MAKE_FOLDER:
                self._change(entry.path, Folder())
            case Kind.UNLINK | Kind.REMOVE_FOLDER:
                self._change(entry.path, None)
            case Kind.MARK:
                pass

    def survivors(self, fate: Fate, seed: int) -> Tree:
        """A tree that may be found if the power goes now."""
        return _found(self.folder, Chance(fate, Random(seed)))

    def _load(self, path: Path) -> Folder:
        folder = Folder()
        for found in path.iterdir() if path.exists() else ():
            if found.is_dir():
                folder.seen[found.name] = self._load(found)
            else:
                file = self._files.setdefault(found.stat().st_ino, File(found.read_bytes()))
                folder.seen[found.name] = file
        folder.sync()
        return folder

    def _synced(self, entry: Entry) -> Node:
        """The folder of a sync, or the file: that by its inode, as it may have no name any more."""
        try:
            node = self._at(Path(entry.path))
        except KeyError:
            node = None
        return node if isinstance(node, Folder) else self._files[entry.inode]

    def _rename_or_link(self, entry: Entry) -> None:
        old, new = Path(entry.path), Path(entry.other)
        node = self._at(old)
        if entry.kind is Kind.LINK:
            self._change(entry.other, node)
            return
        assert old.parent == new.parent, "a rename between folders is not modelled: nothing of ours needs it"
        self._folder_at(old.parent).change({old.name: None, new.name: node})

    def _change(self, path: str, node: Node | None) -> None:
        self._folder_at(Path(path).parent).change({Path(path).name: node})

    def _at(self, path: Path) -> Node:
        """What a path names now; `KeyError` where it names nothing."""
        return self.folder if path == self._root else self._folder_at(path.parent).seen[path.name]

    def _folder_at(self, path: Path) -> Folder:
        node = self._at(path)
        assert isinstance(node, Folder)
        return node


def write_tree(tree: Tree, folder: Path) -> None:
    """Make a tree real."""
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            write_tree(content, folder / name)


def digest_of(tree: Tree) -> bytes:
    """The same for equal trees, and for no others."""
    digest = blake2b()
    for name, content in sorted(tree.items()):
        part = content if isinstance(content, bytes) else digest_of(content)
        digest.update(f"{isinstance(content, bytes)} {name!r} {len(part)} ".encode())
        digest.update(part)
    return digest.digest()


def _found(folder: Folder, chance: Chance) -> Tree:
    tree: dict[str, bytes | Tree] = {}
    for name, node in sorted(folder.as_found(chance).items()):
        if isinstance(node, Folder):
            tree[name] = _found(node, chance)
        elif not name.endswith(_SHARED_MEMORY):
            tree[name] = node.as_found(chance)
        elif chance.draw.random() < 0.5:
            tree[name] = chance.draw.randbytes(_SHARED_MEMORY_OCTETS)
    return tree


def _apply(names: dict[str, Node], change: Mapping[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _sectors(start: int, end: int) -> list[tuple[int, int]]:
    bounds = [start, *range(start - start % SECTOR + SECTOR, end, SECTOR), end]
    return [pair for pair in pairwise(bounds) if pair[0] < pair[1]]


def list_entry(entry: Entry) -> str:
    """An event for a person who looks for what went wrong."""
    what = repr(entry.content[:80]) if entry.kind is Kind.MARK else Path(entry.path).name or entry.inode
    return f"{entry.kind.name} {what} {Path(entry.other).name} {entry.offset}+{len(entry.content)}"
