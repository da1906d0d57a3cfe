"""mbsync: two thousand messages, half from each side; nothing to do afterwards; then flags,
expunges, new mail and new folders of both sides."""

import collections
import os
import re
import subprocess
import unittest

import mails
from imap_client import Client
from responses import all_fetched
from server import Server

REMOTE_INBOX = range(0, 700)
REMOTE_ARCHIVE = range(700, 1000)
LOCAL_INBOX = range(1000, 1700)
LOCAL_SENT = range(1700, 2000)
# mbsync skips what has no end of a header, since it adds a field there, and drops a lone CR. And
# X-Number must go into the header, in the line ends that are there.
KINDS = [text for name, text in mails.small_ones().items()
         if b"\n\n" in mails.as_imap(text).replace(b"\r\n", b"\n")
         and not re.search(rb"\r(?!\n)", text) and name not in
         ("no-headers", "one-newline", "begins-with-fold", "mbox-line", "noise", "crlf")]
LETTERS = {"S": b"\\Seen", "R": b"\\Answered", "F": b"\\Flagged", "D": b"\\Draft",
           "T": b"\\Deleted"}
CONFIG = """FSync no

IMAPStore remote
Host 127.0.0.1
Port {port}
User u0
Pass pw0
SSLType IMAPS
SSLVersions TLSv{version}
CertificateFile {folder}/cert.pem
AuthMechs LOGIN
PipelineDepth 50

MaildirStore local
Path {folder}/local/
Inbox {folder}/local/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
"""


def mail(number):
    """Every twentieth is of an odd kind; X-Number says which it is, whatever follows."""
    if number % 20 == 0:
        return b"X-Number: %d\n" % number + KINDS[number // 20 % len(KINDS)]
    return mails.numbered(number)


def number_of(text):
    found = re.search(rb"X-Number: (\d+)", text)
    return int(found.group(1)) if found else None


def without_mark(text):
    """mbsync marks what it copies, until both sides know it."""
    return re.sub(rb"(?m)^X-TUID: .*\r?\n", b"", mails.as_imap(text))


class MbsyncTest(unittest.TestCase):
    def setUp(self):
        # mbsync compares the name it was given with the certificate's; "localhost" needs an
        # /etc/hosts, which a bare root has not.
        self.server = Server(users=1, start=False, names=("127.0.0.1",))
        self.addCleanup(self.server.__exit__, None, None, None)
        mails.fill(self.server, "u0", {f"r{n}": mail(n) for n in REMOTE_INBOX}, suffix=":2,S")
        mails.fill(self.server, "u0", {f"r{n}": mail(n) for n in REMOTE_ARCHIVE},
                   folder=".Archive")
        self.server.start()
        self.local = os.path.join(self.server.folder, "local")
        for folder, numbers in (("INBOX", LOCAL_INBOX), ("Sent", LOCAL_SENT)):
            for part in ("cur", "new", "tmp"):
                os.makedirs(f"{self.local}/{folder}/{part}")
            for number in numbers:
                self.put_local(folder, number, "cur", ":2,FS")

    def put_local(self, folder, number, where, suffix):
        with open(f"{self.local}/{folder}/{where}/{number}.local{suffix}", "wb") as out:
            out.write(mail(number))

    def mbsync(self, version):
        config = os.path.join(self.server.folder, "mbsyncrc")
        with open(config, "w") as out:
            out.write(CONFIG.format(port=self.server.tls_port, version=version,
                                    folder=self.server.folder))
        # -Dn prints the dialogue; HOME is where it keeps nothing that matters.
        done = subprocess.run(["mbsync", "-c", config, "-V", "-Dn", "-a"], timeout=300,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**os.environ,
                                                             "HOME": self.server.folder})
        text = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, text[-3000:])
        complaints = re.findall(r"(?m)^(?:Warning|Error|\S+ (?:NO|BAD)\b).*", text)
        self.assertEqual(complaints, [])
        return text

    def commands(self, output):
        """How often mbsync said which command."""
        said = re.findall(r"(?m)^(?:\(\d+ in progress\) )?>>> \d+ ((?:UID )?[A-Z]+)", output)
        return collections.Counter(said)

    def local_mail(self, folder):
        """{number: (flags, text)}."""
        found = {}
        for where in ("cur", "new"):
            for name in os.listdir(f"{self.local}/{folder}/{where}"):
                with open(f"{self.local}/{folder}/{where}/{name}", "rb") as file:
                    text = file.read()
                letters = name.partition(":2,")[2]
                flags = frozenset(LETTERS[letter] for letter in letters)
                self.add(found, text, flags)
        return found

    def add(self, found, text, flags):
        number = number_of(text)
        self.assertIsNotNone(number, text[:200])
        self.assertNotIn(number, found, "a message twice")
        found[number] = flags, without_mark(text)

    def remote_mail(self, folder):
        client = Client(self.server)
        client.login(0)
        client.command(f"EXAMINE {folder}")
        untagged, _ = client.command("UID FETCH 1:* (FLAGS BODY.PEEK[])")
        client.close()
        found = {}
        for _, items in all_fetched(untagged):
            self.add(found, items["BODY[]"], frozenset(items["FLAGS"]) - {b"\\Recent"})
        return found

    def both_sides(self, folder):
        local, remote = self.local_mail(folder), self.remote_mail(folder)
        self.assertEqual(sorted(local), sorted(remote), folder)
        for number, (flags, text) in local.items():
            self.assertEqual(flags, remote[number][0], f"{folder} {number}")
            self.assertEqual(text, remote[number][1], f"{folder} {number}")
        return {number: flags for number, (flags, _) in local.items()}

    def files(self):
        return {folder: sorted(os.listdir(f"{root}/{folder}"))
                for root, folders in ((self.local, ("INBOX/cur", "INBOX/new", "Archive/cur",
                                                    "Sent/cur")),
                                      (self.server.maildir("u0"), ("cur", "new", ".Archive/cur",
                                                                   ".Sent/cur")))
                for folder in folders}

    def nothing_to_do(self, version):
        before = self.files()
        output = self.mbsync(version)
        self.assertNotIn("BODY.PEEK[]", output)
        said = self.commands(output)
        self.assertTrue(said["SELECT"] >= 3, said)
        for command in ("APPEND", "UID STORE", "STORE", "EXPUNGE", "UID EXPUNGE", "CREATE",
                        "UID COPY", "UID MOVE"):
            self.assertEqual(said[command], 0, said)
        self.assertEqual(self.files(), before)

    def test_two_thousand_messages_both_ways_then_nothing_then_changes(self):
        output = self.mbsync("1.3")
        self.assertEqual(self.commands(output)["APPEND"], len(LOCAL_INBOX) + len(LOCAL_SENT))
        seen, flagged = b"\\Seen", b"\\Flagged"
        expected = {n: {seen} for n in REMOTE_INBOX} | {n: {seen, flagged} for n in LOCAL_INBOX}
        self.assertEqual(self.both_sides("INBOX"), expected)
        self.assertEqual(self.both_sides("Archive"), {n: set() for n in REMOTE_ARCHIVE})
        self.assertEqual(self.both_sides("Sent"), {n: {seen, flagged} for n in LOCAL_SENT})
        self.nothing_to_do("1.3")
        self.nothing_to_do("1.2")

        self.change_remote(expected)
        self.change_local(expected)
        self.mbsync("1.2")
        self.assertEqual(self.both_sides("INBOX"), expected)
        self.assertEqual(self.both_sides("Later"), {})
        self.nothing_to_do("1.3")

    def change_remote(self, expected):
        client = Client(self.server)
        client.login(0)
        client.command("SELECT INBOX")

        def uid(number):
            untagged, _ = client.command(f"UID SEARCH HEADER X-Number {number}")
            found = untagged[0].split()[2:]  # 611 is in 1611, too, and that came later
            return min(found, key=int).decode()

        client.command(rf"UID STORE {uid(611)} +FLAGS (\Answered)")
        expected[611] = {b"\\Seen", b"\\Answered"}
        client.command(rf"UID STORE {uid(1611)} -FLAGS (\Flagged)")
        expected[1611] = {b"\\Seen"}
        client.command(rf"UID STORE {uid(612)} +FLAGS.SILENT (\Deleted)")
        client.command(rf"UID STORE {uid(1612)} +FLAGS.SILENT (\Deleted)")
        client.command("EXPUNGE")
        del expected[612], expected[1612]
        client.command("CREATE Later")
        client.command("LOGOUT")
        client.close()
        self.server.drop_mail("u0", mail(3001))
        expected[3001] = set()

    def change_local(self, expected):
        folder = f"{self.local}/INBOX/cur"
        by_number = {}
        for name in os.listdir(folder):
            with open(f"{folder}/{name}", "rb") as file:
                by_number[number_of(file.read())] = name
        for number, letters in ((613, "RS"), (1613, "")):
            name = by_number[number]
            os.rename(f"{folder}/{name}", f"{folder}/{name.partition(':2,')[0]}:2,{letters}")
            expected[number] = {LETTERS[letter] for letter in letters}
        for number in (614, 1614):
            os.remove(f"{folder}/{by_number[number]}")
            del expected[number]
        self.put_local("INBOX", 3002, "new", "")
        expected[3002] = set()


if __name__ == "__main__":
    unittest.main(verbosity=2)
