"""QRESYNC and two sessions of one user against a model, over the wire, with everything that can
change a mailbox at once: IMAP sessions, deliveries, other programs in the Maildir. Random, with the
seed printed; DORMOUSE_SEED repeats a run."""

import os
import random
import re
import time
import unittest

import mails
from imap_client import Client
from responses import all_fetched, fetched
from server import Server, wait_for

SEED = int(os.environ.get("DORMOUSE_SEED", time.time_ns() % 1_000_000))
ROUNDS = int(os.environ.get("DORMOUSE_ROUNDS", "40"))
START_MESSAGES = 30
FLAGS = [rb"\Seen", rb"\Answered", rb"\Flagged", rb"\Draft", b"$One", b"$Two", b"$Forwarded"]
# What other programs can say with a file's name; keywords need a file of their own.
LETTERS = {rb"\Draft": "D", rb"\Flagged": "F", rb"\Answered": "R", rb"\Seen": "S"}


def uid_list(text):
    """The UIDs of "1:3,7"."""
    uids = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        uids += range(int(first), int(last or first) + 1)
    return uids


def as_set(uids):
    return ",".join(map(str, sorted(uids)))


class Picture:
    """What a client believes of its mailbox from what it was told, checking that each response
    makes sense where it stands."""

    def __init__(self):
        self.uids = []  # by sequence number; None: it exists, its UID was not asked for
        self.flags = {}
        self.mod_seqs = {}
        self.told_flags = []
        self.told_vanished = []
        self.highest = 0

    def hear(self, lines):
        for line in lines:
            self.hear_line(line)

    def hear_line(self, line):
        if (found := fetched(line)) is not None:
            self.hear_fetch(*found)
        elif match := re.fullmatch(rb"\* (\d+) EXPUNGE", line):
            gone = self.uids.pop(int(match.group(1)) - 1)
            self.told_vanished.append(gone)
            self.flags.pop(gone, None)
        elif match := re.fullmatch(rb"\* VANISHED (\(EARLIER\) )?([\d,:]+)", line):
            for uid in uid_list(match.group(2)):
                self.vanish(uid, bool(match.group(1)))
        elif match := re.fullmatch(rb"\* (\d+) EXISTS", line):
            count = int(match.group(1))
            assert count >= len(self.uids), f"EXISTS {count} below {len(self.uids)}"
            self.uids += [None] * (count - len(self.uids))
        elif match := re.match(rb"\* OK \[HIGHESTMODSEQ (\d+)\]", line):
            assert int(match.group(1)) >= self.highest, "HIGHESTMODSEQ went back"
            self.highest = int(match.group(1))

    def hear_fetch(self, number, items):
        assert 1 <= number <= len(self.uids), f"FETCH {number} of {len(self.uids)}"
        uid = int(items["UID"])
        assert self.uids[number - 1] in (uid, None), f"{number} was {self.uids[number - 1]}: {uid}"
        self.uids[number - 1] = uid
        if "MODSEQ" in items:
            mod_seq = int(items["MODSEQ"][0])
            assert mod_seq >= self.mod_seqs.get(uid, 0), f"MODSEQ of {uid} went back"
            self.mod_seqs[uid] = mod_seq
        if "FLAGS" in items:
            self.flags[uid] = frozenset(items["FLAGS"]) - {rb"\Recent"}
            self.told_flags.append(uid)

    def vanish(self, uid, earlier):
        self.told_vanished.append(uid)
        if uid in self.uids:
            self.uids.remove(uid)
            self.flags.pop(uid, None)
        elif (nameless := self.nameless_at(uid)) is not None:
            del self.uids[nameless]  # it came and went, and its UID was not asked for
        else:
            assert earlier, f"VANISHED {uid}, which is none of {self.uids}"

    def nameless_at(self, uid):
        """The place of a message whose UID was not told and may be this one: UIDs ascend."""
        for place, known in enumerate(self.uids):
            below = max(filter(None, self.uids[:place]), default=0)
            above = min(filter(None, self.uids[place:]), default=1 << 32)
            if known is None and below < uid < above:
                return place
        return None


class Actors:
    """Everybody who changes the mailbox. `touched` and `expunged` are the UIDs whose flags they
    really changed, and that they removed, since the last `forget()`."""

    def __init__(self, test, server, chance):
        self.test, self.server, self.chance = test, server, chance
        self.serial = 0
        self.client = Client(server)
        self.client.login(0)
        self.client.command("CREATE Other")
        self.client.command("SELECT INBOX")
        self.forget()
        self.truth()

    def forget(self):
        self.touched, self.expunged = set(), set()

    def truth(self):
        """{uid: flags}, from a session that knows nothing."""
        client = Client(self.server)
        try:
            client.login(0)
            client.command("EXAMINE INBOX")
            untagged, _ = client.command("UID FETCH 1:* (FLAGS MODSEQ)")
        finally:
            client.close()
        found = {int(items["UID"]): items for _, items in all_fetched(untagged)}
        self.mod_seqs = {uid: int(items["MODSEQ"][0]) for uid, items in found.items()}
        self.flags = {uid: frozenset(items["FLAGS"]) - {rb"\Recent"}
                      for uid, items in found.items()}
        return self.flags

    def some(self, most=6):
        uids = sorted(self.flags)
        return self.chance.sample(uids, min(len(uids), self.chance.randint(1, most)))

    def act(self):
        self.client.command("NOOP")  # it can change only what it was told of
        self.truth()
        actions = [self.store, self.store, self.store_unchanged_since, self.append, self.deliver,
                   self.copy_in, self.rename_file]
        if len(self.flags) > 8:
            actions += [self.expunge, self.move_out, self.unlink_file, self.close_expunges]
        if len(self.flags) < 60:
            actions += [self.append, self.deliver]
        action = self.chance.choice(actions)
        before = dict(self.flags)
        action()
        after = self.truth()
        self.touched |= {uid for uid in after if after[uid] != before.get(uid)}
        self.expunged |= {uid for uid in before if uid not in after}
        return action.__name__

    def store(self):
        how = self.chance.choice(["+FLAGS", "-FLAGS", "FLAGS", "+FLAGS.SILENT", "FLAGS.SILENT"])
        flags = b" ".join(self.chance.sample(FLAGS, self.chance.randint(1, 3))).decode()
        self.client.command(f"UID STORE {as_set(self.some())} {how} ({flags})")

    def store_unchanged_since(self):
        """Only those not changed after the limit are changed; the others are named."""
        uids = self.some(10)
        limit = self.chance.choice(sorted(self.mod_seqs.values()))
        _, tagged = self.client.command(
            rf"UID STORE {as_set(uids)} (UNCHANGEDSINCE {limit}) +FLAGS.SILENT ($Since)")
        newer = {uid for uid in uids if self.mod_seqs[uid] > limit}
        match = re.search(rb"\[MODIFIED ([\d,:]+)\]", tagged)
        self.test.assertEqual(set(uid_list(match.group(1))) if match else set(), newer)
        before = self.flags
        after = self.truth()
        for uid in uids:
            self.test.assertEqual(after[uid], before[uid] | (set() if uid in newer else {b"$Since"}))

    def append(self):
        text = mails.as_imap(mails.numbered(self.next_serial()))
        flags = " ".join(f.decode() for f in self.chance.sample(FLAGS, self.chance.randint(0, 2)))
        self.client.command(f"APPEND INBOX ({flags}) {{{len(text)}+}}\r\n{text.decode()}")

    def next_serial(self):
        self.serial += 1
        return self.serial

    def deliver(self):
        for _ in range(self.chance.randint(1, 3)):
            self.server.drop_mail("u0", mails.numbered(self.next_serial()))

    def copy_in(self):
        self.client.command(f"UID COPY {as_set(self.some(3))} INBOX")

    def expunge(self):
        uids = as_set(self.some())
        self.client.command(rf"UID STORE {uids} +FLAGS.SILENT (\Deleted)")
        self.client.command(self.chance.choice(["EXPUNGE", f"UID EXPUNGE {uids}"]))

    def close_expunges(self):
        self.client.command(rf"UID STORE {as_set(self.some(2))} +FLAGS.SILENT (\Deleted)")
        self.client.command("CLOSE")
        self.client.command("SELECT INBOX")

    def move_out(self):
        self.client.command(f"UID MOVE {as_set(self.some(3))} Other")

    def files(self):
        folder = os.path.join(self.server.maildir("u0"), "cur")
        names = sorted(os.listdir(folder))
        return folder, self.chance.sample(names, min(len(names), 2))

    def rename_file(self):
        folder, names = self.files()
        for name in names:
            base, _, old = name.partition(":2,")
            keywords = [letter for letter in old if letter.islower()]
            letters = self.chance.sample(sorted(LETTERS.values()), self.chance.randint(0, 3))
            os.rename(f"{folder}/{name}",
                      f"{folder}/{base}:2,{''.join(sorted(letters) + keywords)}")

    def unlink_file(self):
        folder, names = self.files()
        for name in names:
            os.remove(f"{folder}/{name}")


class ModelTest(unittest.TestCase):
    def setUp(self):
        print(f"DORMOUSE_SEED={SEED}", flush=True)
        self.chance = random.Random(SEED)
        self.server = Server(users=1, start=False)
        self.addCleanup(self.server.__exit__, None, None, None)
        mails.fill(self.server, "u0", {f"m{n}": mails.numbered(n) for n in range(START_MESSAGES)})
        self.server.start()
        self.actors = Actors(self, self.server, self.chance)
        self.addCleanup(self.actors.client.close)

    def logged_in(self):
        client = Client(self.server)
        self.addCleanup(client.close)
        client.login(0)
        return client

    def select(self, client, picture, parameters=""):
        client.command("ENABLE QRESYNC")
        untagged, _ = client.command(f"SELECT INBOX {parameters}")
        self.uid_validity = int(re.search(rb"\[UIDVALIDITY (\d+)\]",
                                          b"\n".join(untagged)).group(1))
        # The picture of a client that returns lists UIDs, not places: EXISTS is of the new state,
        # and the VANISHED of the old one comes after it (RFC 7162 3.2.5).
        for line in untagged:
            if b"VANISHED" in line:
                picture.hear_line(line)
        known = [uid for uid in picture.uids]
        for number, items in all_fetched(untagged):
            uid = int(items["UID"])
            if uid not in known:
                known.append(uid)
        picture.uids = sorted(known)
        for line in untagged:
            if b"VANISHED" not in line:
                picture.hear_line(line)

    def full(self, client, picture):
        untagged, _ = client.command("UID FETCH 1:* (FLAGS MODSEQ)")
        picture.hear(untagged)

    def test_qresync_reports_exactly_what_changed(self):
        picture = Picture()
        client = self.logged_in()
        self.select(client, picture)
        self.full(client, picture)
        client.close()
        self.actors.forget()
        for number in range(ROUNDS):
            did = [self.actors.act() for _ in range(self.chance.randint(0, 5))]
            known = dict(picture.flags)
            picture.told_flags, picture.told_vanished = [], []
            parameters = f"(QRESYNC ({self.uid_validity} {picture.highest}"
            if known and self.chance.random() < 0.5:
                # Not asked for by arrivals: all that may come is asked for.
                parameters += f" 1:{max(max(known), max(self.actors.flags)) + 1}"
            client = self.logged_in()
            self.select(client, picture, parameters + "))")
            client.close()
            with self.subTest(round=number, did=did):
                self.check(picture, known)
            self.actors.forget()

    def check(self, picture, known):
        truth = self.actors.truth()
        self.assertEqual(picture.uids, sorted(truth))
        self.assertEqual(picture.flags, truth)
        told, gone = picture.told_flags, picture.told_vanished
        self.assertEqual(len(told), len(set(told)), "nothing is said twice")
        self.assertEqual(len(gone), len(set(gone)), "nothing is said twice")
        differs = {uid for uid in truth if truth[uid] != known.get(uid)}
        self.assertLessEqual(differs, set(told))
        self.assertLessEqual(set(told), self.actors.touched & set(truth))
        self.assertLessEqual(set(known) - set(truth), set(gone))
        self.assertLessEqual(set(gone), self.actors.expunged)
        self.assertEqual({uid: picture.mod_seqs[uid] for uid in truth}, self.actors.mod_seqs)
        self.assertEqual(max([picture.highest, *self.actors.mod_seqs.values()]), picture.highest)

    def test_sessions_of_one_user_see_each_other(self):
        """Awake, idle or asleep, with EXPUNGE or VANISHED: each arrives at the truth."""
        watchers = []
        for qresync in (False, True, False, True):
            client = self.logged_in()
            if qresync:
                client.command("ENABLE QRESYNC")
            client.picture = Picture()
            client.idles = False
            client.picture.hear(client.command("SELECT INBOX")[0])
            self.full(client, client.picture)
            watchers.append(client)
        for number in range(ROUNDS):
            for client in watchers:
                if not client.idles and self.chance.random() < 0.5:
                    self.begin_idle(client)
            if self.chance.random() < 0.3:
                asleep = sum(client.idles for client in watchers)
                wait_for("sleepers", lambda: self.server.counter("parked_idle") >= asleep)
            did = [self.actors.act() for _ in range(self.chance.randint(1, 4))]
            with self.subTest(round=number, did=did):
                for client in watchers:
                    self.catch_up(client)
        for client in watchers:
            client.command("LOGOUT")
            client.close()

    def begin_idle(self, client):
        client.idle_tag = client.tag()
        client.send(f"{client.idle_tag} IDLE\r\n")
        while not (line := client.line()).startswith(b"+"):
            client.picture.hear_line(line)
        client.idles = True

    def catch_up(self, client):
        if client.idles:
            if self.chance.random() < 0.5:
                self.hears_while_idle(client)
            untagged, tagged = client.done()
            client.idles = False
        else:
            untagged, tagged = client.command("NOOP")
        self.assertIn(b" OK", tagged)
        client.picture.hear(untagged)
        self.ask_for_new(client)
        client.picture.hear(client.command("NOOP")[0])
        truth = self.actors.truth()
        self.assertEqual(client.picture.uids, sorted(truth))
        self.assertEqual(client.picture.flags, truth)

    def hears_while_idle(self, client):
        """Without a word of its own it gets to know of every message and of none too many."""
        truth = self.actors.truth()
        end = time.monotonic() + 60
        while not self.agrees(client.picture, truth):
            self.assertLess(time.monotonic(), end, "an idle session does not hear of a change")
            client.picture.hear_line(client.line())

    def agrees(self, picture, truth):
        known = {uid for uid in picture.uids if uid is not None}
        return (len(picture.uids) == len(truth) and known <= set(truth)
                and all(picture.flags[uid] == truth[uid] for uid in known))

    def ask_for_new(self, client):
        if None in client.picture.uids:
            first = client.picture.uids.index(None) + 1
            untagged, _ = client.command(f"FETCH {first}:* (UID FLAGS)")
            client.picture.hear(untagged)


if __name__ == "__main__":
    unittest.main(verbosity=2)
