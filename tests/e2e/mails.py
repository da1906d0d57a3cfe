"""Real mail of many kinds, as mail stores hold it: built here, the same bytes in every run.

Each mail is its file's bytes. `as_imap` says what a client must get for them."""

import base64
import hashlib
import os
import re

# The size that people call "a big attachment", in bytes before base64.
ATTACHMENT_BYTES = 20 * 1024 * 1024


def as_imap(file_bytes):
    """What BODY[] must be: lines end in CRLF, a lone CR stays, and NUL, which no literal may hold
    (RFC 3501 4.3), is 0x80."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", file_bytes).replace(b"\0", b"\x80")


def noise(size, seed=0):
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_256(b"dormouse %d" % seed).digest(size)


def header(subject, *lines):
    fields = [b"From: Dora <dora@example.org>", b"To: mouse@example.org",
              b"Subject: " + subject, b"Date: Mon, 7 Apr 2025 10:11:12 +0200",
              b"Message-ID: <" + hashlib.md5(subject).hexdigest().encode() + b"@example.org>",
              *lines]
    return b"\n".join(fields) + b"\n"


def part(content_type, body, *lines):
    return b"\n".join([b"Content-Type: " + content_type, *lines]) + b"\n\n" + body


def multipart(boundary, *parts, end=True):
    text = b"".join(b"--" + boundary + b"\n" + each + b"\n" for each in parts)
    return text + (b"--" + boundary + b"--\n" if end else b"")


def wrapped_base64(data):
    text = base64.b64encode(data)
    return b"\n".join(text[i:i + 76] for i in range(0, len(text), 76)) + b"\n"


MIME = b"MIME-Version: 1.0"


def plain():
    return {
        "plain": header(b"plain") + b"\nOne line.\nTwo lines.\n",
        "crlf": header(b"crlf").replace(b"\n", b"\r\n") + b"\r\nAlready\r\nCRLF\r\n",
        "mixed-ends": header(b"mixed") + b"\nunix\nwindows\r\nold mac\rand\r\n\nnone",
        "no-newline-at-end": header(b"cut") + b"\nno newline",
        "only-headers": header(b"only headers"),
        "headers-and-blank": header(b"blank body") + b"\n",
        "no-headers": b"\nA body without any header.\n",
        "no-blank-line": b"Subject: never ends\nThis is no header field\nnor is this\n",
        "one-newline": b"\n",
        "one-byte": b"x",
        "empty": b"",
        "long-line": header(b"a long line") + b"\n" + b"0123456789" * 20_000 + b"\n",
        "long-header": header(b"long " + b"word " * 4_000) + b"\nbody\n",
        "many-headers": header(b"many", *[b"X-Trace-%d: %d" % (i, i) for i in range(2_000)])
                        + b"\nbody\n",
        "folded": header(b"folded\n  over\n\tlines", b"X-Empty:", b"X-Tab:\tvalue") + b"\nbody\n",
        "dots-and-from": header(b"dots") + b"\n.\n..\nFrom the start\n>From\n.\n",
        "mbox-line": b"From dora@example.org Mon Apr  7 10:11:12 2025\n" + header(b"mbox")
                     + b"\nbody\n",
        "protocol-words": header(b'quote " backslash \\ brace {5} ) * paren (')
                          + b"\n* 1 EXISTS\na1 OK done\n{10}\n+ go\n",
    }


def eight_bit():
    latin = "Grüße aus Köln, façade".encode("latin-1")
    return {
        "utf-8": header("Grüße – 你好 🐭".encode(), MIME,
                        b"Content-Type: text/plain; charset=utf-8",
                        b"Content-Transfer-Encoding: 8bit") + b"\n" + "Zażółć gęślą jaźń\n".encode(),
        "latin-1-header": header(latin) + b"\n" + latin + b"\n",
        "encoded-words": header(b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?b?S/ZsbiE=?=",
                                MIME) + b"\nbody\n",
        "bad-encoded-words": header(b"=?utf-8?x?oops?= =?nosuch?b?////?= =?utf-8?q?open") + b"\n\n",
        "quoted-printable": header(b"qp", MIME, b"Content-Type: text/plain; charset=iso-8859-1",
                                   b"Content-Transfer-Encoding: quoted-printable")
                            + b"\nK=F6ln soft=\n break =zz =\n",
        "nul-bytes": header(b"nul") + b"\nbefore\0after\n\0\0\0\n",
        "all-bytes": header(b"all bytes") + b"\n" + bytes(range(256)) + b"\n",
        "noise": noise(30_000, 1),
        "koi8": header(b"koi8", MIME, b"Content-Type: text/plain; charset=koi8-r")
                + b"\n" + "Привет, мир\n".encode("koi8-r"),
    }


def structured():
    inner = header(b"inner", MIME, b'Content-Type: multipart/mixed; boundary="in"') + b"\n" + \
        multipart(b"in", part(b"text/plain", b"deep\n"), part(b"text/html", b"<p>deep</p>\n"))
    deep = part(b"text/plain", b"at the bottom\n")
    for level in range(60):
        boundary = b"level%d" % level
        deep = part(b"multipart/mixed; boundary=" + boundary, multipart(boundary, deep))
    return {
        "alternative": header(b"alternative", MIME, b"Content-Type: multipart/alternative;\n"
                              b'\tboundary="=_next(part)"') + b"\nThis is multipart.\n"
                       + multipart(b"=_next(part)", part(b"text/plain; charset=us-ascii", b"hi\n"),
                                   part(b"text/html", b"<b>hi</b>\n")) + b"after\n",
        "attached": header(b"attached", MIME, b"Content-Type: multipart/mixed; boundary=b")
                    + b"\n" + multipart(
                        b"b", part(b"text/plain", b"see file\n"),
                        part(b"application/pdf; name=\"a b.pdf\"", wrapped_base64(noise(9_000, 2)),
                             b"Content-Transfer-Encoding: base64", b"Content-ID: <id@x>",
                             b"Content-Disposition: attachment; filename*=utf-8''%C3%A4.pdf",
                             b"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==", b"Content-Language: de, en",
                             b"Content-Location: http://example.org/")),
        "forwarded": header(b"forwarded", MIME, b"Content-Type: multipart/mixed; boundary=out")
                     + b"\n" + multipart(b"out", part(b"text/plain", b"see below\n"),
                                         part(b"message/rfc822", inner)),
        "only-rfc822": header(b"only", MIME, b"Content-Type: message/rfc822") + b"\n" + inner,
        "digest": header(b"digest", MIME, b"Content-Type: multipart/digest; boundary=d") + b"\n"
                  + multipart(b"d", b"\n" + header(b"one") + b"\n1\n", b"\n" + header(b"two")
                              + b"\n2\n"),
        "deep": header(b"deep", MIME) [:-1] + b"\n" + deep,
        "many-parts": header(b"many parts", MIME, b"Content-Type: multipart/mixed; boundary=m")
                      + b"\n" + multipart(b"m", *[part(b"text/plain", b"%d\n" % i)
                                                  for i in range(500)]),
        "groups": b"From: a@b (comment (nested)), \"Q \\\"x\\\"\" <q@x>\n"
                  b"To: friends: one@x, Two <two@y>;, undisclosed-recipients:;\n"
                  b"Cc: <@route,@two:three@z>, broken <, @, <>\nReply-To:\nSubject:\n"
                  b"Date: not a date\n\nbody\n",
    }


def broken():
    return {
        "no-end-boundary": header(b"no end", MIME, b"Content-Type: multipart/mixed; boundary=x")
                           + b"\n" + multipart(b"x", part(b"text/plain", b"cut\n"), end=False),
        "no-boundary-parameter": header(b"no boundary", MIME, b"Content-Type: multipart/mixed")
                                 + b"\n--x\n\nbody\n--x--\n",
        "boundary-never-used": header(b"never", MIME, b"Content-Type: multipart/mixed; boundary=q")
                               + b"\nno part at all\n",
        "prefix-boundaries": header(b"prefix", MIME, b"Content-Type: multipart/mixed; boundary=a")
                             + b"\n" + multipart(b"a", part(b"multipart/mixed; boundary=ab",
                                                            multipart(b"ab", part(b"text/plain",
                                                                                  b"z\n")))),
        "same-boundary-inside": header(b"same", MIME, b"Content-Type: multipart/mixed; boundary=s")
                                + b"\n" + multipart(b"s", part(b"multipart/mixed; boundary=s",
                                                               multipart(b"s", b"\nz\n"))),
        "bad-content-type": header(b"bad type", MIME, b"Content-Type: ///;;;= \"unclosed",
                                   b"Content-Transfer-Encoding: rot13") + b"\nbody\n",
        "two-content-types": header(b"two types", MIME, b"Content-Type: text/html",
                                    b"Content-Type: multipart/mixed; boundary=t")
                             + b"\n--t\n\nbody\n--t--\n",
        "bad-base64": header(b"bad base64", MIME, b"Content-Type: image/png",
                             b"Content-Transfer-Encoding: base64") + b"\n!!!not base64===\nAAA\n",
        "colon-lines": b": no name\nNo Space : x\nSubject : spaced\n continuation of it\n\nbody\n",
        "begins-with-fold": b" folded before any field\nSubject: later\n\nbody\n",
        "cut-in-header": b"From: dora@example.org\nSubject: cut in the mid",
        "rfc822-cut": header(b"cut inner", MIME, b"Content-Type: message/rfc822") + b"\n",
    }


def big():
    return header(b"twenty megabytes", MIME, b"Content-Type: multipart/mixed; boundary=big") \
        + b"\n" + multipart(b"big", part(b"text/plain", b"here it is\n"),
                            part(b"application/octet-stream; name=big.bin",
                                 wrapped_base64(noise(ATTACHMENT_BYTES, 3)),
                                 b"Content-Transfer-Encoding: base64",
                                 b"Content-Disposition: attachment; filename=big.bin"))


def small_ones():
    """{name: bytes} of all kinds but the big one, in a fixed order."""
    return {**plain(), **eight_bit(), **structured(), **broken()}


def numbered(number):
    """One of many ordinary mails, a few lines each, all different."""
    return header(b"number %d" % number, b"X-Number: %d" % number) + b"\n" \
        + b"This is mail %d.\n" % number * (1 + number % 7)


def fill(server, user, files, folder="", where="cur", suffix=":2,"):
    """Puts {name: bytes} into a Maildir as another program would have, oldest first: message
    number n is the n-th. Makes the Maildir where there is none."""
    maildir = os.path.join(server.maildir(user), folder) if folder else server.maildir(user)
    for path in (server.maildir(user), maildir, *(f"{maildir}/{d}" for d in ("cur", "new", "tmp"))):
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            server._own(path)
    for number, (name, text) in enumerate(files.items()):
        path = f"{maildir}/{where}/{1700000000 + number}.{name}.test{suffix}"
        with open(path, "wb") as out:
            out.write(text)
        os.utime(path, (1700000000 + number, 1700000000 + number))
        server._own(path)
