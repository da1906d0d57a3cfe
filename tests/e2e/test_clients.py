"""curl, Python's imaplib and `openssl s_client`: whole sessions over TLS 1.2, TLS 1.3 and STARTTLS,
on a Maildir that another program has filled with mail of many kinds."""

import imaplib
import os
import re
import ssl
import subprocess
import threading
import time
import unittest

import mails
from imap_client import Client
from responses import all_fetched, leaves
from server import WAIT_S, Server, wait_for

MAILS = {**mails.small_ones(), "big": mails.big()}
EXPECTED = [mails.as_imap(text) for text in MAILS.values()]
BIG = len(EXPECTED)  # its message number
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# (TLS version, whether by STARTTLS): each gets a user of its own, with the same mail.
WAYS = [("1.2", False), ("1.3", False), ("1.2", True), ("1.3", True)]
APPENDED = b"Subject: appended\r\nFrom: a@b\r\n\r\nAppended by a client.\r\n"


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=15, start=False)
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        for user in range(15):
            few = dict(list(MAILS.items())[:5])
            mails.fill(cls.server, f"u{user}", MAILS if user in (0, 1, 4, 9) else few)
        cls.server.start()

    def port(self, starttls):
        return self.server.port if starttls else self.server.tls_port


class CurlTest(ClientsTest):
    def curl(self, number, way, path, *arguments):
        version, starttls = way
        scheme = "imap" if starttls else "imaps"
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", f"--tlsv{version}",
             "--tls-max", version, "--user", f"u{number}:pw{number}", "--max-time", str(WAIT_S),
             f"{scheme}://127.0.0.1:{self.port(starttls)}/{path}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def whole_session(self, number, way):
        def curl(path, *arguments):
            return self.curl(number, way, path, *arguments)

        curl("", "-X", "CREATE Work")
        listed = curl("")
        self.assertRegex(listed, rb'\* LIST \([^)]*\) "/" "?INBOX"?\r\n')
        self.assertRegex(listed, rb'\* LIST \([^)]*\) "/" "?Work"?\r\n')
        self.assertEqual(curl("INBOX;MAILINDEX=1"), EXPECTED[0])
        self.assertEqual(curl("INBOX;UID=2;SECTION=HEADER"),
                         EXPECTED[1][:EXPECTED[1].index(b"\r\n\r\n") + 4])
        self.assertEqual(curl("INBOX?SUBJECT%20crlf"), b"* SEARCH 2\r\n")
        upload = os.path.join(self.server.folder, f"upload{number}")
        with open(upload, "wb") as out:
            out.write(APPENDED)
        curl("Work", "--upload-file", upload)
        self.assertEqual(curl("Work;MAILINDEX=1"), APPENDED)
        stored = curl("Work", "-X", r"STORE 1 +FLAGS (\Flagged $Work)")
        self.assertRegex(stored, rb"\* 1 FETCH .*FLAGS \([^)]*\\Flagged[^)]*\$Work")
        self.assertEqual(curl("Work?KEYWORD%20$Work%20FLAGGED"), b"* SEARCH 1\r\n")
        curl("Work", "-X", r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.assertEqual(curl("Work", "-X", "EXPUNGE"), b"* 1 EXPUNGE\r\n")
        self.assertRegex(curl("", "-X", "STATUS Work (MESSAGES UIDNEXT)"),
                         rb'\* STATUS "?Work"? \(MESSAGES 0 UIDNEXT 2\)')

    def test_list_fetch_search_append_store_expunge(self):
        for number, way in enumerate(WAYS, 10):
            with self.subTest(way=way):
                self.whole_session(number, way)

    def test_twenty_megabytes_come_down_and_go_up(self):
        for version in VERSIONS:
            with self.subTest(version):
                self.assertEqual(self.curl(0, (version, False), f"INBOX;MAILINDEX={BIG}"),
                                 EXPECTED[-1])
        upload = os.path.join(self.server.folder, "big")
        with open(upload, "wb") as out:
            out.write(EXPECTED[-1])
        self.curl(0, ("1.3", False), "INBOX", "--upload-file", upload)
        self.assertEqual(self.curl(0, ("1.2", False), f"INBOX;MAILINDEX={BIG + 1}"), EXPECTED[-1])


class ImaplibTest(ClientsTest):
    def connect(self, number, way):
        version, starttls = way
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = VERSIONS[version]
        if starttls:
            imap = imaplib.IMAP4("127.0.0.1", self.server.port, timeout=WAIT_S)
            imap.starttls(context)
        else:
            imap = imaplib.IMAP4_SSL("127.0.0.1", self.server.tls_port, ssl_context=context,
                                     timeout=WAIT_S)
        self.addCleanup(self.hang_up, imap)
        self.assertEqual(imap.sock.version(), "TLSv" + version)
        self.ok(imap.login(f"u{number}", f"pw{number}"))
        return imap

    def hang_up(self, imap):
        try:
            imap.shutdown()
        except OSError:  # it is logged out
            pass

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def test_every_mail_comes_back_octet_for_octet(self):
        for number, way in ((0, WAYS[0]), (1, WAYS[1]), (9, WAYS[3])):
            with self.subTest(way=way):
                imap = self.connect(number, way)
                self.assertEqual(self.ok(imap.select()), [b"%d" % len(EXPECTED)])
                for i, name in enumerate(MAILS):
                    data = self.ok(imap.fetch(f"{i + 1}", "(RFC822.SIZE BODY.PEEK[])"))
                    text = data[0][1] if isinstance(data[0], tuple) else b""
                    self.assertTrue(text == EXPECTED[i], name)
                    line = data[0][0] if isinstance(data[0], tuple) else data[0]
                    self.assertIn(b"RFC822.SIZE %d" % len(EXPECTED[i]), line, name)
                self.ok(imap.close())
                imap.logout()

    def test_a_whole_session(self):
        for number, way in enumerate(WAYS, 5):
            if number == 9:
                number = 14
            with self.subTest(way=way):
                imap = self.connect(number, way)
                self.mailboxes(imap)
                self.messages(imap)
                self.idle(imap, number)
                self.assertEqual(imap.logout()[0], "BYE")

    def mailboxes(self, imap):
        sub = "Work/Sub"
        self.assertIn(b'"/"', self.ok(imap.list('""', '""'))[0])
        for name in ("Work", sub, '"&AOQ- b"'):
            self.ok(imap.create(name))
        self.assertEqual(imap.create("Work")[0], "NO")
        names = b" ".join(self.ok(imap.list()))
        for name in (b"INBOX", b"Work", sub.encode(), b'"&AOQ- b"'):
            self.assertIn(name, names)
        self.ok(imap.subscribe("Work"))
        self.assertIn(b'() "/" Work', self.ok(imap.lsub()))
        self.ok(imap.rename(sub, "Other"))
        self.ok(imap.delete("Other"))
        self.ok(imap.delete('"&AOQ- b"'))
        self.assertEqual(imap.delete("Nowhere")[0], "NO")
        self.assertEqual(imap.select("Nowhere")[0], "NO")

    def messages(self, imap):
        when = imaplib.Time2Internaldate(1_600_000_000)
        answer = self.ok(imap.append("Work", r"(\Seen $New)", when, APPENDED))
        self.assertRegex(answer[0], rb"\[APPENDUID \d+ 1\]")
        self.assertIn(b"MESSAGES 1 RECENT 1 UIDNEXT 2",
                      self.ok(imap.status("Work", "(MESSAGES RECENT UIDNEXT)"))[0])
        self.ok(imap.select())
        self.assertRegex(self.ok(imap.copy("1:3", "Work"))[0], rb"\[COPYUID \d+ 1:3 2:4\]")
        self.ok(imap.xatom("MOVE", "5", "Work"))
        self.assertEqual(imap.untagged_responses["EXPUNGE"], [b"5"])
        imap.untagged_responses.clear()
        self.assertEqual(imap.copy("1", "Nowhere")[0], "NO")
        self.assertEqual(self.ok(imap.select("Work")), [b"5"])
        data = self.ok(imap.fetch("1", "(UID FLAGS INTERNALDATE BODY[])"))
        self.assertEqual(data[0][1], APPENDED)
        self.assertIn(b"$New", data[0][0])
        self.assertEqual(imaplib.Internaldate2tuple(data[0][0]), time.localtime(1_600_000_000))
        for key, expected in (("ALL", b"1 2 3 4 5"), ("SUBJECT plain", b"2"), ("SEEN", b"1"),
                              ("KEYWORD $New", b"1"), ("BODY appended", b"1"), ("LARGER 999999", b""),
                              ("OR SUBJECT crlf UID 1", b"1 3"), ("NOT 2:5", b"1")):
            self.assertEqual(self.ok(imap.search(None, key))[0], expected, key)
        self.assertEqual(self.ok(imap.uid("SEARCH", "SENTON 7-Apr-2025"))[0], b"2 3 4 5")
        self.assertIn(b"\\Deleted", self.ok(imap.store("2:3", "+FLAGS", r"(\Deleted)"))[0])
        self.ok(imap.store("3", "-FLAGS", r"(\Deleted)"))
        self.assertEqual(self.ok(imap.expunge()), [b"2"])
        self.assertEqual(self.ok(imap.uid("SEARCH", "ALL"))[0], b"1 3 4 5")
        self.ok(imap.uid("STORE", "5", "FLAGS.SILENT", r"(\Deleted)"))
        self.ok(imap.close())
        self.assertIn(b"MESSAGES 3", self.ok(imap.status("Work", "(MESSAGES)"))[0])
        self.assertEqual(self.ok(imap.select("Work", readonly=True)), [b"3"])
        self.assertEqual(imap.store("1", "+FLAGS", r"(\Deleted)")[0], "NO")
        self.ok(imap.unselect())
        self.ok(imap.delete("Work"))

    def idle(self, imap, number):
        self.ok(imap.select())
        imap.send(b"idle1 IDLE\r\n")
        self.assertTrue(imap.readline().startswith(b"+"))
        wait_for("the session to park", lambda: self.server.counter("parked_idle") > 0)
        self.server.drop_mail(f"u{number}", b"Subject: while asleep\n\nhello\n")
        line = imap.readline()
        self.assertEqual(line, b"* 5 EXISTS\r\n")
        imap.send(b"DONE\r\n")
        while not line.startswith(b"idle1 "):
            line = imap.readline()
        self.assertTrue(line.startswith(b"idle1 OK"), line)
        self.assertEqual(self.ok(imap.search(None, "SUBJECT asleep"))[0], b"5")

    def test_structures_agree_with_the_bytes(self):
        """Every item at once; header and text make up the message; every part of BODYSTRUCTURE is
        there and as long as it says; partial fetches are pieces of the whole."""
        client = Client(self.server)
        client.login(4)
        client.command("SELECT INBOX")
        wanted = ("UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE RFC822.HEADER "
                  "RFC822.TEXT BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[]<3.40> "
                  "BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)] "
                  "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT FROM)]")
        for number, name in enumerate(list(MAILS)[:-1], 1):
            whole = EXPECTED[number - 1]
            untagged, _ = client.command(f"FETCH {number} ({wanted})")
            found = dict(all_fetched(untagged))[number]
            self.assertEqual(found["BODY[HEADER]"] + found["BODY[TEXT]"], whole, name)
            self.assertEqual(found["RFC822.HEADER"], found["BODY[HEADER]"], name)
            self.assertEqual(found["RFC822.TEXT"], found["BODY[TEXT]"], name)
            self.assertEqual(found["BODY[]<3>"] or b"", whole[3:43], name)
            self.assertEqual(len(found["ENVELOPE"]), 10, name)
            self.every_part(client, number, name, found["BODYSTRUCTURE"])
        client.close()

    def every_part(self, client, number, name, structure):
        parts = dict(leaves(structure))
        sections = list(parts)
        for i in range(0, len(sections), 50):
            untagged, _ = client.command("FETCH %d (%s)" % (number, " ".join(
                f"BODY.PEEK[{section}]" for section in sections[i:i + 50])))
            found = dict(all_fetched(untagged))[number]
            for section in sections[i:i + 50]:
                self.assertEqual(len(found[f"BODY[{section}]"] or b""), parts[section],
                                 f"{name} {section}")


class OpensslTest(ClientsTest):
    def s_client(self, way, *options):
        version, starttls = way
        command = ["openssl", "s_client", "-tls" + version.replace(".", "_"), "-connect",
                   f"127.0.0.1:{self.port(starttls)}", *options]
        if starttls:
            command += ["-starttls", "imap"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        # A server that does not answer ends the test, not the run.
        watchdog = threading.Timer(WAIT_S, process.kill)
        watchdog.start()
        self.addCleanup(self.end, process, watchdog)
        return process

    def end(self, process, watchdog):
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass

    def write(self, process, text):
        process.stdin.write(text)
        process.stdin.flush()

    def read_until(self, process, start):
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(start):
                return lines
        self.fail(f"no line begins with {start}: {lines[-20:]}")

    def test_a_scripted_session_in_one_write(self):
        for number, way in enumerate(WAYS, 5):
            if number == 9:
                number = 14
            with self.subTest(way=way):
                process = self.s_client(way, "-quiet")
                script = (b"a1 LOGIN u%d pw%d\r\na2 CREATE Script\r\n"
                          b"a3 APPEND Script {%d+}\r\n%s\r\na4 SELECT Script\r\n"
                          b"a5 FETCH 1 (UID BODY[])\r\na6 STORE 1 +FLAGS (\\Deleted)\r\n"
                          b"a7 EXPUNGE\r\na8 DELETE Script\r\na9 LOGOUT\r\n")
                out, _ = process.communicate(
                    script % (number, number, len(APPENDED), APPENDED), timeout=WAIT_S)
                for i in range(1, 10):
                    if i != 8:  # the selected mailbox goes, and may take the session along
                        self.assertRegex(out, rb"(?m)^a%d OK" % i, out)
                self.assertIn(b" BODY[] {%d}\r\n%s)\r\n" % (len(APPENDED), APPENDED), out)
                self.assertIn(b"* 1 EXPUNGE\r\n", out)

    def test_sleeps_and_wakes(self):
        for number, way in enumerate(WAYS, 10):
            with self.subTest(way=way):
                process = self.s_client(way, "-quiet")
                self.write(process, b"b1 LOGIN u%d pw%d\r\nb2 SELECT INBOX\r\nb3 IDLE\r\n"
                           % (number, number))
                self.read_until(process, b"+ ")
                wait_for("the session to park", lambda: self.server.counter("parked_idle") > 0)
                self.server.drop_mail(f"u{number}", b"Subject: for openssl\n\nhello openssl\n")
                self.read_until(process, b"* 6 EXISTS")
                self.write(process, b"DONE\r\nb4 FETCH 6 BODY[]\r\nb5 LOGOUT\r\n")
                self.assertIn(b"hello openssl\r\n", self.read_until(process, b"b4 OK"))
                self.read_until(process, b"b5 OK")
                self.assertEqual(process.wait(timeout=WAIT_S), 0)

    def test_a_key_update_in_every_state(self):
        """s_client, not quiet, makes of a line "K" a KeyUpdate that asks for ours (RFC 8446
        4.6.3): awake, and asleep."""
        process = self.s_client(("1.3", False))
        self.read_until(process, b"* OK")
        for state in ("before login", "awake", "asleep"):
            with self.subTest(state):
                self.write(process, b"K\n")
                while process.stderr.readline() != b"KEYUPDATE\n":
                    self.assertIsNone(process.poll())
                if state == "before login":
                    self.write(process, b"c1 LOGIN u13 pw13\r\n")
                    self.read_until(process, b"c1 OK")
                elif state == "awake":
                    self.write(process, b"c2 SELECT INBOX\r\n")
                    self.read_until(process, b"c2 OK")
                    self.write(process, b"c3 IDLE\r\n")
                    self.read_until(process, b"+ ")
                    wait_for("the session to park",
                             lambda: self.server.counter("parked_idle") > 0)
                else:
                    self.write(process, b"DONE\r\n")
                    self.read_until(process, b"c3 OK")
                    self.write(process, b"c4 FETCH 1 BODY[]\r\nc5 LOGOUT\r\n")
                    self.read_until(process, b"c4 OK")
                    self.read_until(process, b"c5 OK")


if __name__ == "__main__":
    unittest.main(verbosity=2)
