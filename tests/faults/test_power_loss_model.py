"""The model of a disk that lost its power: what is synced is there, everything else may be there or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.faults.disk_layer import Entry, Kind
from tests.faults.power_loss import SECTOR, Fate, Tree, Volume, digest_of, write_tree

NAME = "/disk/a"


def volume_after(*entries: Entry) -> Volume:
    volume = Volume(Path("/disk"))
    for entry in entries:
        volume.apply(entry)
    return volume


def trees(volume: Volume, seeds: Sequence[int] = range(60)) -> list[Tree]:
    """All that were drawn, once each."""
    found: list[Tree] = []
    for seed in seeds:
        tree = volume.survivors(Fate.TORN, seed)
        if tree not in found:
            found.append(tree)
    return found


CREATED = Entry(Kind.CREATE, 7, path=NAME)
WRITTEN = Entry(Kind.WRITE, 7, 0, content=b"x" * 3 * SECTOR)
FILE_SYNCED = Entry(Kind.SYNC, 7, path=NAME)
NAME_SYNCED = Entry(Kind.SYNC, 1, path="/disk")


def test_what_was_never_synced_may_be_lost_kept_or_torn_by_sector() -> None:
    volume = volume_after(CREATED, WRITTEN, NAME_SYNCED)
    contents = {bytes(tree["a"]) for tree in trees(volume)}  # type: ignore[arg-type]  # a file
    assert {b"", WRITTEN.content, b"x" * SECTOR, bytes(SECTOR) + b"x" * SECTOR} <= contents
    pieces = {content[start : start + SECTOR] for content in contents for start in (0, SECTOR, 2 * SECTOR)}
    assert pieces <= {b"x" * SECTOR, bytes(SECTOR), b""}


def test_a_synced_file_without_a_synced_name_may_have_none() -> None:
    found = trees(volume_after(CREATED, WRITTEN, FILE_SYNCED))
    assert sorted(found, key=len) == [{}, {"a": WRITTEN.content}]


def test_what_was_synced_with_its_name_is_always_there() -> None:
    volume = volume_after(CREATED, WRITTEN, FILE_SYNCED, NAME_SYNCED)
    assert trees(volume) == [{"a": WRITTEN.content}]
    assert volume.survivors(Fate.LOST, 1) == {"a": WRITTEN.content}


def test_a_rename_holds_as_a_whole_or_not_at_all() -> None:
    volume = volume_after(CREATED, WRITTEN, FILE_SYNCED, NAME_SYNCED, Entry(Kind.RENAME, path=NAME, other="/disk/b"))
    assert sorted(trees(volume), key=str) == [{"a": WRITTEN.content}, {"b": WRITTEN.content}]


def test_a_removal_that_was_not_synced_may_be_undone() -> None:
    volume = volume_after(CREATED, FILE_SYNCED, NAME_SYNCED, Entry(Kind.UNLINK, path=NAME))
    assert sorted(trees(volume), key=len) == [{}, {"a": b""}]
    volume.apply(NAME_SYNCED)
    assert trees(volume) == [{}]


def test_what_a_failed_sync_left_behind_is_never_written_until_it_is_written_anew() -> None:
    failed = Entry(Kind.SYNC_FAILED, 7, path=NAME)
    volume = volume_after(CREATED, NAME_SYNCED, WRITTEN, failed, FILE_SYNCED)
    assert trees(volume) == [{"a": b""}]
    volume.apply(WRITTEN)
    volume.apply(FILE_SYNCED)
    assert trees(volume) == [{"a": WRITTEN.content}]


def test_a_truncation_that_was_not_synced_may_be_undone() -> None:
    volume = volume_after(CREATED, WRITTEN, FILE_SYNCED, NAME_SYNCED, Entry(Kind.TRUNCATE, 7, 5))
    assert sorted(trees(volume), key=str) == [{"a": b"xxxxx"}, {"a": WRITTEN.content}]


def test_a_folder_whose_name_is_lost_takes_what_is_in_it() -> None:
    inner = Entry(Kind.CREATE, 8, path="/disk/folder/b")
    volume = volume_after(
        Entry(Kind.MAKE_FOLDER, path="/disk/folder"), inner, Entry(Kind.SYNC, 9, path="/disk/folder")
    )
    assert volume.survivors(Fate.LOST, 1) == {}
    assert volume.survivors(Fate.NAMES, 1) == {"folder": {"b": b""}}


def test_shared_memory_is_gone_or_garbage() -> None:
    volume = volume_after(Entry(Kind.CREATE, 7, path="/disk/p0.db-shm"), NAME_SYNCED)
    found = [volume.survivors(fate, seed) for fate in Fate for seed in range(9)]
    assert {} in found
    assert any(len(tree.get("p0.db-shm", b"")) > SECTOR for tree in found)


def test_a_tree_made_real_is_the_tree_that_a_volume_starts_from(tmp_path: Path) -> None:
    tree: Tree = {"a": b"content", "folder": {"b": b"", "empty": {}}}
    write_tree(tree, tmp_path / "disk")
    assert Volume(tmp_path / "disk").survivors(Fate.LOST, 1) == tree


def test_trees_have_one_digest_where_they_are_equal() -> None:
    trees: list[Tree] = [{}, {"a": b""}, {"a": {}}, {"a": b"x"}, {"a": {"x": b""}}, {"ax": b""}, {"a": b"", "x": b""}]
    assert len({digest_of(tree) for tree in trees}) == len(trees)
    assert digest_of({"a": b"1", "b": {"c": b"2"}}) == digest_of({"b": {"c": b"2"}, "a": b"1"})
