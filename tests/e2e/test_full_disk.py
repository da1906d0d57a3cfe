"""A full disk answers NO and keeps what was there: mail on a file system of 3 MiB, as root."""

import os
import shutil
import subprocess
import unittest

from imap_client import Client
from server import Server, wait_for

MIB = 1024 * 1024


class FullDiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0 or shutil.which("mount") is None:
            raise unittest.SkipTest("needs root and mount")
        cls.server = Server(users=2, start=False)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={3 * MIB},mode=755", "none",
                                  cls.server.mail_root], capture_output=True, text=True)
        if mounted.returncode != 0:
            shutil.rmtree(cls.server.folder)
            raise unittest.SkipTest(f"no mount: {mounted.stderr}")
        cls.addClassCleanup(subprocess.run, ["umount", cls.server.mail_root], check=True)
        cls.addClassCleanup(cls.server.stop)
        cls.server._own(cls.server.mail_root)
        for user in ("u0", "u1"):
            os.mkdir(cls.server.home(user))
            cls.server._own(cls.server.home(user))
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.log.close()

    def fill(self):
        """Takes what room there is; the file that does."""
        path = os.path.join(self.server.mail_root, "ballast")
        with open(path, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(b"x" * 4096)
            except OSError:
                pass
        return path

    def append(self, client, number, size=100_000):
        """The word of the tagged answer."""
        text = f"Subject: {number}\r\n\r\n".encode() + b"%d " % number * (size // 2)
        text = text[:size]
        tag = client.tag()
        client.send(f"{tag} APPEND INBOX {{{len(text)}+}}\r\n".encode() + text + b"\r\n")
        _, tagged = client.finish(tag)
        return text, tagged.split(b" ", 1)[1]

    def bodies(self, client):
        untagged, _ = client.command("FETCH 1:* BODY.PEEK[]")
        return [line.partition(b"}\r\n")[2][:-1] for line in untagged if b"BODY[]" in line]

    def test_says_no_keeps_everything_and_goes_on_when_there_is_room(self):
        client = Client(self.server)
        client.login(0)
        client.command("SELECT INBOX")
        kept = []
        refused = b""
        for number in range(100):
            text, answer = self.append(client, number)
            if not answer.startswith(b"OK"):
                refused = answer
                break
            kept.append(text)
        self.assertTrue(refused.startswith(b"NO "), refused)
        self.assertGreater(len(kept), 5)
        ballast = self.fill()
        pids = set(self.server.children())
        # Whatever needs room is refused; whatever does not is served.
        self.assertTrue(self.append(client, 1000, 10_000)[1].startswith(b"NO "))
        client.command("CREATE Folder", expect=b"NO")
        self.assertEqual(self.bodies(client), kept)
        client.command("NOOP")
        tag = client.tag()
        client.send(f"{tag} STORE 1:* +FLAGS (\\Flagged)\r\n")
        _, stored = client.finish(tag)
        self.assertIn(stored.split(b" ")[1], (b"OK", b"NO"))
        # Several at once: the first would have found room, and does not stay (RFC 3502).
        tag = client.tag()
        client.send(f"{tag} APPEND INBOX {{4+}}\r\nX: 1 {{100000+}}\r\n".encode()
                    + b"x" * 100_000 + b"\r\n")
        _, tagged = client.finish(tag)
        self.assertTrue(tagged.split(b" ", 1)[1].startswith(b"NO "), tagged)
        self.assertEqual(self.bodies(client), kept)
        # Another session, another user, and one that sleeps and wakes.
        second = Client(self.server)
        second.login(0)
        second.command("EXAMINE INBOX")
        self.assertEqual(self.bodies(second), kept)
        before = self.server.counter("parked_idle")
        second.idle()
        wait_for("the session to park", lambda: self.server.counter("parked_idle") > before)
        second.done()
        self.assertEqual(self.bodies(second), kept)
        self.assertTrue(pids <= set(self.server.children()), "no process ended over it")
        # Room again.
        os.unlink(ballast)
        text, answer = self.append(client, 2000, 10_000)
        self.assertTrue(answer.startswith(b"OK"), answer)
        kept.append(text)
        self.assertEqual(self.bodies(client), kept)
        client.command("STORE 1 +FLAGS (\\Deleted)")
        client.command("EXPUNGE")
        self.assertEqual(self.bodies(client), kept[1:])
        files = [name for folder in ("cur", "new")
                 for name in os.listdir(os.path.join(self.server.maildir("u0"), folder))]
        self.assertEqual(len(files), len(kept) - 1, files)
        self.assertEqual(os.listdir(os.path.join(self.server.maildir("u0"), "tmp")), [])
        client.close()
        second.close()

    def test_a_user_without_an_index_is_told_why_and_served_later(self):
        ballast = self.fill()
        client = Client(self.server)
        try:
            client.command("LOGIN u1 pw1", expect=b"NO")
        finally:
            os.unlink(ballast)
        client.close()
        again = Client(self.server)
        again.login(1)
        again.command("SELECT INBOX")
        self.assertTrue(self.append(again, 1, 1000)[1].startswith(b"OK"))
        again.command("STORE 1 +FLAGS (\\Deleted)")
        again.command("EXPUNGE")
        again.close()


if __name__ == "__main__":
    unittest.main()
