"""A disk that forgets: what was not synced may be lost in part when the power fails.

The files are real ones, and are what a running system sees: its page cache. Beside them the disk
remembers for every file what has reached the platter and which sectors are still dirty. A power cut
makes the files what the platter holds, with a random part of what was dirty.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from tests.simulation.loop import ProcessKilledError, SimLoop

SECTOR_SIZES: Final = (8, 64, 512)


class Inode:
    """A file: what the platter has of it, and what it has not yet."""

    def __init__(self) -> None:
        self.platter = bytearray()
        self.dirty: set[int] = set()
        self.has_new_size = False


class SimDisk:
    """What survives the machine. `read_only` parts of the code read the real files."""

    def __init__(self, root: Path, loop: SimLoop, random: Random) -> None:
        self.root = root
        self.random = random
        self.is_full = False
        self.sync_max_s = 0.003
        self.fail_next: dict[str, int] = {}  # Call to errno, for the next such call.
        self.lost_writes = 0
        self._loop = loop
        self._sector = random.choice(SECTOR_SIZES)
        self._inodes: dict[Path, Inode] = {}
        self._durable: dict[Path, Inode] = {}
        self._durable_directories: set[Path] = {root}

    def create(self, path: Path) -> None:
        """A new file: its name is not durable before its directory is."""
        self._inodes.setdefault(path, Inode())

    def unlink(self, path: Path) -> None:
        """The name is gone, durably once the directory is synced."""
        path.unlink()
        self._inodes.pop(path, None)

    def note_write(self, path: Path, offset: int, length: int) -> None:
        """Bytes of the file have changed."""
        inode = self._inodes[path]
        inode.dirty.update(range(offset // self._sector, (offset + length - 1) // self._sector + 1))
        inode.has_new_size = True

    def note_size(self, path: Path) -> None:
        """The file was cut."""
        self._inodes[path].has_new_size = True

    def sync(self, path: Path) -> None:
        """All of the file reaches the platter."""
        self._flush(path, lambda: True)

    def fail_sync(self, path: Path) -> None:
        """Some of it does; the rest is forgotten: Linux marks such pages clean."""
        self._flush(path, lambda: self.random.random() < 0.5)

    def sync_directory(self, directory: Path) -> None:
        """The names in the directory become durable."""
        for path in [path for path in self._durable if path.parent == directory]:
            del self._durable[path]
        self._durable |= {
            path: inode for path, inode in self._inodes.items() if path.parent == directory
        }
        self._durable_directories |= {path for path in directory.iterdir() if path.is_dir()}

    def drop_cache(self) -> None:
        """Under memory pressure clean pages are read anew from the platter."""
        for path, inode in self._inodes.items():
            if not inode.dirty and not inode.has_new_size:
                path.write_bytes(inode.platter)

    def fail_power(self) -> None:
        """Make the files what the platter holds, and some of what was on its way there."""
        keep = self.random.choice((0.0, 0.5, 0.5, 0.9, 1.0))
        survivors: dict[Path, Inode] = {}
        for path in sorted({*self._inodes, *self._durable}):
            inode = self._inodes.get(path)
            durable = self._durable.get(path)
            if inode is not durable and self.random.random() >= keep:
                inode = durable
            if path in self._inodes:
                self._flush(path, lambda: self.random.random() < keep)
            directory = path.parent
            if directory not in self._durable_directories and self.random.random() >= keep:
                inode = None
            path.unlink(missing_ok=True)
            if inode is not None:
                inode.dirty.clear()
                inode.has_new_size = False
                path.write_bytes(inode.platter)
                survivors[path] = inode
        self._inodes = survivors
        self._durable = dict(survivors)
        for path in sorted(self.root.rglob("*.idx")):
            self._damage(path)

    def take_time(self) -> None:
        """The caller waits for the disk, and with it all that it would do."""
        dice = self.random.random()
        self._loop.now_s += self.random.uniform(0, self.sync_max_s) if dice < 0.995 else 6.0

    def _flush(self, path: Path, reaches: Callable[[], bool]) -> None:
        inode = self._inodes[path]
        cached = path.read_bytes()
        if inode.has_new_size:
            # The size is as old, as new or in between, whatever became of the data.
            low, high = sorted((len(inode.platter), len(cached)))
            is_whole = reaches()
            size = len(cached) if is_whole else self.random.randint(low, high)
            del inode.platter[size:]
            inode.platter.extend(bytes(size - len(inode.platter)))
        for sector in sorted(inode.dirty):
            start = sector * self._sector
            end = min(start + self._sector, len(inode.platter), len(cached))
            if start < end and reaches():
                inode.platter[start:end] = cached[start:end]
        if cached != inode.platter:
            self.lost_writes += 1
        inode.dirty.clear()
        inode.has_new_size = False

    def _damage(self, path: Path) -> None:
        # Written without a sync, as everything that can be made anew.
        data = path.read_bytes()
        keep = self.random.choice(("all", "none", "part", "zeros"))
        if keep == "none":
            path.unlink()
        elif keep == "part":
            path.write_bytes(data[: self.random.randint(0, len(data))])
        elif keep == "zeros":
            path.write_bytes(bytes(len(data)))


class MountedDisk:
    """The disk as one process uses it, an `engine.runtime.journal.Disk`."""

    def __init__(
        self, disk: SimDisk, is_alive: Callable[[], bool], kill: Callable[[], None]
    ) -> None:
        self.kill_after: int | None = None
        self._disk = disk
        self._is_alive = is_alive
        self._kill = kill
        self._paths: dict[int, Path] = {}

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int:
        """See `Disk`. A new file is one more name in its directory."""
        self._begin("open")
        if flags & os.O_CREAT and self._disk.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        descriptor = os.open(path, flags, mode)
        self._paths[descriptor] = path
        if flags & os.O_CREAT:
            self._disk.create(path)
        return descriptor

    def write(self, descriptor: int, data: memoryview | bytes, /) -> int:
        """See `Disk`. The file is open for appending."""
        return self.pwrite(descriptor, data, os.fstat(descriptor).st_size)

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset: int, /) -> int:
        """See `Disk`. Takes a part now and then."""
        random = self._disk.random
        count = len(data) if random.random() < 0.8 else random.randint(1, len(data))
        is_cut_short = self._is_killed_now()
        if is_cut_short or self._disk.is_full or "write" in self._disk.fail_next:
            count = random.randrange(len(data))
        if count:
            os.pwrite(descriptor, data[:count], offset)
            self._disk.note_write(self._paths[descriptor], offset, count)
        if is_cut_short:
            self._die()
        if "write" in self._disk.fail_next:
            raise OSError(self._disk.fail_next.pop("write"), "write failed")
        if self._disk.is_full and not count:
            raise OSError(errno.ENOSPC, "No space left on device")
        return count

    def fdatasync(self, descriptor: int, /) -> None:
        """See `Disk`."""
        self._sync(descriptor)

    def fsync(self, descriptor: int, /) -> None:
        """See `Disk`."""
        self._sync(descriptor)

    def ftruncate(self, descriptor: int, length: int, /) -> None:
        """See `Disk`."""
        self._begin("ftruncate")
        os.ftruncate(descriptor, length)
        self._disk.note_size(self._paths[descriptor])

    def unlink(self, path: Path, /) -> None:
        """See `Disk`."""
        self._begin("unlink")
        self._disk.unlink(path)

    def close(self, descriptor: int, /) -> None:
        """See `Disk`. Closing makes nothing durable."""
        if self._paths.pop(descriptor, None) is not None:
            os.close(descriptor)

    def close_all(self) -> None:
        """The process is gone."""
        for descriptor in list(self._paths):
            self.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        self._begin("sync")
        self._disk.take_time()
        path = self._paths[descriptor]
        if path.is_dir():
            self._disk.sync_directory(path)
        elif "sync" in self._disk.fail_next:
            self._disk.fail_sync(path)
            raise OSError(self._disk.fail_next.pop("sync"), "sync failed")
        else:
            self._disk.sync(path)
        # Durable, and yet nobody will ever be told.
        if self._is_killed_now():
            self._die()

    def _begin(self, call: str) -> None:
        if not self._is_alive():
            raise ProcessKilledError
        if self._is_killed_now():
            self._die()
        if call in self._disk.fail_next and call != "sync":
            raise OSError(self._disk.fail_next.pop(call), f"{call} failed")

    def _is_killed_now(self) -> bool:
        if self.kill_after is None:
            return False
        self.kill_after -= 1
        return self.kill_after < 0

    def _die(self) -> None:
        self.kill_after = None
        self._kill()
        raise ProcessKilledError
