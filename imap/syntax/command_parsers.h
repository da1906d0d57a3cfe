#pragma once
// The arguments of each command, one function each: takes everything up to the end of the command.
// Private to imap/syntax; the table that names them is in parser.cc.

#include "imap/syntax/command.h"
#include "imap/syntax/lexer.h"

namespace dormouse::imap {

// `uid`: the command was said behind UID.
using ArgumentParser = bool (*)(Lexer& lexer, bool uid, CommandArguments& out);

// parse_mailbox.cc
bool parse_select(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_examine(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_create(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_delete(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_rename(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_subscribe(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_unsubscribe(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_status(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_append(Lexer& lexer, bool uid, CommandArguments& out);

// parse_list.cc
bool parse_list(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_lsub(Lexer& lexer, bool uid, CommandArguments& out);

// parse_message.cc
bool parse_fetch(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_store(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_copy(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_move(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_expunge(Lexer& lexer, bool uid, CommandArguments& out);

// parse_notify.cc
bool parse_notify(Lexer& lexer, bool uid, CommandArguments& out);

// parse_search.cc
bool parse_search(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_sort(Lexer& lexer, bool uid, CommandArguments& out);
bool parse_cancel_update(Lexer& lexer, bool uid, CommandArguments& out);
// "PARTIAL" SP partial-range, the word itself taken already.
bool take_partial_range(Lexer& lexer, PartialRange& out);

// " (\Seen) "date" {310}", for APPEND and each further message of it.
bool take_append_message(Lexer& lexer, AppendMessage& out);
// "(MESSAGES UNSEEN)", for STATUS and for LIST RETURN (STATUS ...).
bool take_status_items(Lexer& lexer, StatusItems& out);
// "(UID FLAGS BODY.PEEK[HEADER])", for NOTIFY and UPDATE; as parsed, and as text that a sleeper can
// keep, at most kNotifyFetchBytesMax long.
bool take_fetch_list(Lexer& lexer, Fetch& out);
bool take_fetch_text(Lexer& lexer, std::string& out);
// The special use a name stands for, 0 if none: "\Sent".
MailboxAttributes special_use(std::string_view name);

}  // namespace dormouse::imap
