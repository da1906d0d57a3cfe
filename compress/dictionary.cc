#include "compress/dictionary.h"

namespace dormouse::compress {
namespace {

// Deflate writes near distances shorter, so the commonest stands last: header lists of the
// widespread clients, then whole commands, then what a quiet client repeats. "\1" is a tag one
// above the last.
constexpr std::string_view kFirst =
    // Bodies, and other rare commands.
    "APPEND \"Drafts\" (\\Draft \\Seen) {\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
    "charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\nMessage-ID: <\r\n"
    "UNSUBSCRIBE DELETE RENAME CREATE SUBSCRIBE EXAMINE UNSELECT EXPUNGE CLOSE CHECK "
    "GETQUOTAROOT \"INBOX\"\r\nSTARTTLS AUTHENTICATE NOTIFY SET (selected (MessageNew "
    "MessageExpunge FlagChange) personal VANISHED UID SORT (REVERSE DATE) UTF-8 UNDELETED "
    "SINCE 1-Jan-2026 BEFORE UNSEEN HEADER Message-ID RETURN (SAVE MIN MAX COUNT) "
    "UID MOVE UID COPY \"Trash\" \"Junk\" \"Archive\" \"Sent Items\" \"Sent Messages\" "
    "\"Deleted Messages\" \"INBOX.Sent\" \"INBOX/"
    // Header lists.
    "(INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (date subject from to cc "
    "message-id in-reply-to references content-type x-priority x-uniform-type-identifier "
    "x-universally-unique-identifier list-id list-unsubscribe bimi-indicator bimi-location "
    "authentication-results dkim-signature)] MODSEQ)\r\n"
    "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE SUBJECT FROM "
    "CONTENT-TYPE TO CC REPLY-TO MESSAGE-ID REFERENCES IN-REPLY-TO LIST-UNSUBSCRIBE)])\r\n"
    "(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID "
    "Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])\r\n"
    "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER])\r\n"
    "(UID BODY.PEEK[]<0.20480>)\r\n(UID BODY.PEEK[TEXT] BODY.PEEK[1.MIME] BODY.PEEK[1] "
    "BODY.PEEK[2] BODY[] RFC822.HEADER)\r\n"
    // How a session begins.
    "\1 CAPABILITY\r\n\1 ID (\"name\" \"version\" \"vendor\" \"os\" \"Thunderbird\" \"Mail\" "
    "\"iPhone\" \"com.apple.email.accountsd\")\r\n\1 ID NIL\r\n\1 NAMESPACE\r\n"
    "\1 ENABLE CONDSTORE QRESYNC UTF8=ACCEPT\r\n\1 LSUB \"\" \"*\"\r\n"
    "\1 LIST \"\" \"INBOX\"\r\n\1 LIST (SUBSCRIBED) \"\" \"*\" RETURN (SPECIAL-USE CHILDREN "
    "STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ))\r\n\1 LIST \"\" \"*\"\r\n"
    "\1 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT HIGHESTMODSEQ)\r\n"
    "\1 EXAMINE \"INBOX\"\r\n\1 SELECT \"Sent\" (QRESYNC (\1 SELECT \"Drafts\"\r\n"
    "\1 select \"INBOX\" (CONDSTORE)\r\n\1 SELECT \"INBOX\"\r\n\1 SELECT INBOX\r\n"
    // What it does.
    "\1 UID SEARCH RETURN (ALL) \1 UID SEARCH UNSEEN\r\n\1 UID SEARCH 1:* NOT DELETED\r\n"
    "\1 UID STORE \1 +FLAGS.SILENT (\\Deleted)\r\n\1 UID EXPUNGE \1\r\n"
    "\1 UID STORE \1 +FLAGS (\\Seen)\r\n\1 UID STORE \1 -FLAGS (\\Flagged \\Answered)\r\n"
    "\1 FETCH \1 (FLAGS)\r\n\1 UID fetch 1:* (FLAGS) (CHANGEDSINCE \1 UID FETCH 1:* (UID FLAGS)\r\n"
    "\1 UID FETCH \1 (UID RFC822.SIZE BODY.PEEK[])\r\n"
    "\1 UID FETCH \1:* (UID FLAGS)\r\n\1 UID FETCH \1 (FLAGS)\r\n"
    // What it repeats.
    "\1 CHECK\r\n\1 noop\r\n\1 NOOP\r\n\1 NOOP\r\nDONE\r\n\1 idle\r\nDONE\r\n\1 IDLE\r\nDONE\r\n"
    "\1 IDLE\r\n";

}  // namespace

std::string_view dictionary(uint8_t version) { return version == 1 ? kFirst : std::string_view(); }

}  // namespace dormouse::compress
