#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, broken or read-only, and files that are torn or damaged: nothing
is acknowledged that is not durable, and the bridge starts with what is left and says so.

usage: disk.py BRIDGE FAULTS
"""
import concurrent.futures
import errno
import glob
import os
import shutil
import signal
import sys
import unittest

import bridge

PROGRAM, LIBRARY = sys.argv[1:3]
PLACES = 24  # where files are cut or damaged, spread over each

CONFIG = """
route: {receiver: pager}
receivers:
  - name: pager
    pagerduty_configs: [{routing_key: k, url: 'http://127.0.0.1:%(port)d/v2/enqueue'}]
"""


def spread(size):
    return sorted({size * i // PLACES for i in range(PLACES)})


class Base(unittest.TestCase):
    def setUp(self):
        self.far = bridge.Far()
        self.bridge = bridge.Bridge(PROGRAM, CONFIG % {"port": self.far.port}, LIBRARY)
        self.store = self.bridge.file("store.db")
        self.acknowledged = set()
        self.next = 1

    def tearDown(self):
        if self.bridge.process:
            self.bridge.stop(signal.SIGKILL)
        self.assertNotIn("Sanitizer", self.bridge.text("out"))
        self.bridge.remove()
        self.far.stop()

    def start(self):
        self.assertTrue(self.bridge.start(), self.bridge.text("out") + self.bridge.text()[-2000:])

    def post(self, n=1, at_once=1):
        """n webhooks, at_once of them together; the set of their statuses."""
        numbers = range(self.next, self.next + n)
        self.next += n
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            statuses = list(pool.map(
                lambda number: self.bridge.post(bridge.webhook([bridge.alert(number)])), numbers))
        self.acknowledged |= {"host-%d" % number for number, status in zip(numbers, statuses)
                              if status == 200}
        return set(statuses)

    def check_acknowledged(self):
        """All of it is known, and paged."""
        self.bridge.settle()
        self.assertLessEqual(self.acknowledged, set(self.bridge.alerts()))
        self.assertLessEqual(self.acknowledged, self.far.open_now())
        self.assertEqual([n for n in self.far.opened.values() if n > 1], [])


class Errors(Base):
    """Calls that fail while it runs."""

    def suffer(self, error, what, path):
        """Posts before, under and after an error; the statuses under it."""
        self.start()
        self.assertEqual(self.post(4), {200})
        self.bridge.faults.set(error=error, what=what, path=path)
        statuses = set()
        for _ in range(4):
            statuses |= self.post(12, 12) | self.post(1)
        self.assertGreater(self.bridge.faults.failed(), 0)
        self.assertLessEqual(statuses, {200, 503})
        self.bridge.stop(signal.SIGKILL)  # what was acknowledged is on the disk, or nowhere
        self.bridge.faults.set()
        self.start()
        self.assertEqual(self.post(2), {200})
        self.check_acknowledged()
        return statuses

    def recover(self, error, what, path):
        """It takes webhooks again when the error is gone."""
        self.start()
        self.bridge.faults.set(error=error, what=what, path=path)
        self.assertEqual(self.post(1), {503})
        self.bridge.faults.set()
        bridge.wait_for("the disk", lambda: self.post(1) == {200}, 20)
        self.assertEqual(self.post(12, 12), {200})
        self.check_acknowledged()

    def test_full_disk(self):
        self.assertEqual(self.suffer(errno.ENOSPC, bridge.Faults.WRITES, "store.db"), {503})

    def test_full_disk_recovers(self):
        self.recover(errno.ENOSPC, bridge.Faults.WRITES, "store.db")

    def test_broken_disk(self):
        self.assertEqual(self.suffer(errno.EIO, bridge.Faults.WRITES, "store.db"), {503})

    def test_sync_fails(self):
        self.assertEqual(self.suffer(errno.EIO, bridge.Faults.SYNCS, "store.db"), {503})

    def test_sync_recovers(self):
        self.recover(errno.EIO, bridge.Faults.SYNCS, "store.db")

    def test_file_system_becomes_read_only(self):
        self.assertEqual(self.suffer(errno.EROFS, bridge.Faults.WRITES, "store.db"), {503})

    def test_journal_alone_is_full(self):
        self.assertIn(503, self.suffer(errno.ENOSPC, bridge.Faults.WRITES, "store.db.inbox"))

    def test_sync_of_the_journal_alone_fails(self):
        self.assertIn(503, self.suffer(errno.EIO, bridge.Faults.SYNCS, "store.db.inbox"))

    def test_store_alone_is_full(self):
        """The journal takes some; then it is known that the store does not."""
        self.assertIn(503, self.suffer(errno.ENOSPC, bridge.Faults.WRITES, "store.db-wal"))

    def test_store_alone_recovers(self):
        self.start()
        self.bridge.faults.set(error=errno.ENOSPC, what=bridge.Faults.WRITES, path="store.db-wal")
        self.post(24, 12)
        self.bridge.faults.set()
        bridge.wait_for("the disk", lambda: self.post(1) == {200}, 20)
        self.check_acknowledged()

    def test_read_only_at_the_start(self):
        self.bridge.faults.set(error=errno.EROFS, what=bridge.Faults.OPENS, path="store.db")
        self.assertFalse(self.bridge.start())
        self.assertEqual(self.bridge.stop(), 1)
        self.assertIn("store.db", self.bridge.text("out"))
        self.assertIn("Read-only file system", self.bridge.text("out"))


class Damage(Base):
    """Files that are not what was written."""

    def make(self, n, number):
        """A store with n alerts, paged, ended by a signal; a copy of its files."""
        self.start()
        self.assertEqual(self.post(n, 4), {200})
        self.check_acknowledged()
        self.bridge.stop(number)
        copy = self.bridge.file("copy")
        os.mkdir(copy)
        for path in glob.glob(self.store + "*"):
            shutil.copy(path, copy)
        return copy

    def restore(self, copy):
        for path in glob.glob(self.store + "*"):
            os.unlink(path)
        for path in glob.glob(os.path.join(copy, "*")):
            shutil.copy(path, self.bridge.directory)
        open(self.bridge.file("log"), "w").close()

    def works(self):
        """It starts, and pages; what it knows of the alerts before."""
        self.start()
        known = set(self.bridge.alerts())
        self.assertEqual(self.post(1), {200})
        self.bridge.settle()
        self.assertIn("host-%d" % (self.next - 1), self.far.open_now())
        self.bridge.stop(signal.SIGKILL)
        return known & self.before

    def damaged(self, path, change):
        """Starts with the file changed at places spread over it; what was known each time."""
        copy = self.make(60, signal.SIGKILL if path.endswith("-wal") else signal.SIGTERM)
        self.before = set(self.acknowledged)
        for at in spread(os.path.getsize(os.path.join(copy, os.path.basename(path)))):
            self.restore(copy)
            with open(path, "r+b") as f:
                change(f, at)
            yield at, self.works()

    @staticmethod
    def flip(f, at):
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))

    def test_log_is_cut(self):
        """What was written first is there: the more, the later it is cut."""
        known = [k for _, k in self.damaged(self.store + "-wal", lambda f, at: f.truncate(at))]
        self.assertEqual(known, sorted(known, key=len))
        self.assertGreater(len(known[-1]), len(known[0]))

    def test_log_is_damaged(self):
        known = [k for _, k in self.damaged(self.store + "-wal", self.flip)]
        self.assertEqual(known, sorted(known, key=len))
        self.assertGreater(len(known[-1]), len(known[0]))

    def test_page_is_overwritten(self):
        """What is on other pages is saved, the damaged file is kept, and it is said."""
        said = 0
        for at, known in self.damaged(self.store, lambda f, at: (f.seek(at & ~4095),
                                                                 f.write(b"\xa5" * 4096))):
            if "store was damaged" not in self.bridge.text():
                self.assertEqual(known, self.before)  # a page without use
                continue
            said += 1
            self.assertEqual(len(glob.glob(self.store + ".damaged-*Z")), 1)
            if at >= 8 * 4096:  # not the page of the tables themselves
                self.assertGreater(len(known), 0, "at %d" % at)
        self.assertGreater(said, PLACES // 2)

    def test_bit_is_flipped(self):
        for _, known in self.damaged(self.store, self.flip):
            if "store was damaged" not in self.bridge.text():
                self.assertGreaterEqual(len(known), len(self.before) - 1)

    def test_head_is_lost(self):
        copy = self.make(4, signal.SIGTERM)
        self.before = set(self.acknowledged)
        self.restore(copy)
        with open(self.store, "r+b") as f:
            f.write(b"\0" * 100)
        self.assertLess(len(self.works()), 4)  # some are in the journal still
        self.assertIn("store was damaged", self.bridge.text())
        self.assertEqual(len(glob.glob(self.store + ".damaged-*Z")), 1)

    def test_file_of_others_is_left_alone(self):
        with open(self.store, "w") as f:
            f.write("this is somebody's diary\n" * 1000)
        self.assertFalse(self.bridge.start())
        self.assertIn("is no database", self.bridge.text("out"))
        with open(self.store) as f:
            self.assertIn("diary", f.read())

    def fill_journal(self, least):
        """Kills the bridge with so many acknowledged webhooks in the journal alone, or more:
        how many get there before the store is known to fail is chance."""
        for _ in range(30):
            before = len(self.acknowledged)
            self.bridge.faults.set(error=errno.ENOSPC, what=bridge.Faults.WRITES,
                                   path="store.db-wal")
            self.post(96, 32)
            self.bridge.stop(signal.SIGKILL)
            self.bridge.faults.set()
            if len(self.acknowledged) - before >= least:
                return
            self.start()
        self.fail("the journal never got that many")

    def test_journal_is_torn(self):
        """Acknowledged, not in the store yet, and the machine dies within the next one."""
        self.start()
        self.assertEqual(self.post(1), {200})
        self.fill_journal(1)
        with open(self.store + ".inbox", "r+b") as f:
            journal = f.read()
            head = journal[:48]
            f.write(head[:8] + (10 ** 6).to_bytes(8, "little") + head[16:] + b"half a webhook")
        self.start()
        self.check_acknowledged()
        self.assertIn("the journal ends within a webhook", self.bridge.text())

    def test_journal_is_damaged_in_the_middle(self):
        """The last but one of at least three that are in the journal alone."""
        self.start()
        self.fill_journal(3)
        with open(self.store + ".inbox", "r+b") as f:
            journal = f.read()
            self.flip(f, journal.rindex(b"clewhook", 0, journal.rindex(b"clewhook")) + 200)
        self.start()
        self.bridge.settle()
        self.assertGreaterEqual(len(self.acknowledged & self.far.open_now()),
                                len(self.acknowledged) - 1)
        self.assertIn("acknowledged webhooks are lost", self.bridge.text())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
