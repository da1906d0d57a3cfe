#pragma once
// From the text of a command (CommandReader::text()) to a Command.

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "imap/syntax/command.h"

namespace dormouse::imap {

// Why a command was refused. Answer with "<tag> BAD <text>" or "<tag> NO <text>".
struct ParseError {
  std::string tag;   // "*" if none could be read: then "* BAD <text>"
  std::string text;  // short, for a person; never holds bytes of the client's
  bool no = false;   // the grammar holds, but a name or charset cannot be: NO
};

using ParseResult = std::expected<Command, ParseError>;

// `text` is one command as CommandReader gives it: no line end, literals in place. For
// kMessageLiteral, the text ends in the announcement of the message: that is an Append.
ParseResult parse_command(std::string_view text);

// What stands between two messages of an APPEND (RFC 3502), up to the announcement of the second;
// `text` as CommandReader gives it with after_message(). The error's tag is empty.
std::expected<AppendMessage, ParseError> parse_append_message(std::string_view text);

// The items that NOTIFY's MessageNew asks for, in their parentheses. nullopt: not such a list.
std::optional<Fetch> parse_fetch_list(std::string_view text);

// A line after IDLE: "DONE", without regard to case.
bool is_done(std::string_view line);

// The tag and the name of a command in capitals, for logs, limits and small talk, without parsing
// the rest. Empty views where there is none. `name` is as the client wrote it.
struct CommandHead {
  std::string_view tag;
  std::string_view name;
  std::string_view rest;  // after the space behind the name
};
CommandHead command_head(std::string_view text);

}  // namespace dormouse::imap
