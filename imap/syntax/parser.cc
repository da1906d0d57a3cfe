#include "imap/syntax/parser.h"

#include <array>

#include "imap/syntax/base64.h"
#include "imap/syntax/command_parsers.h"
#include "imap/syntax/lexer.h"
#include "imap/syntax/limits.h"

namespace dormouse::imap {
namespace {

template <class T>
bool parse_bare(Lexer& lexer, bool, CommandArguments& out) {
  out.emplace<T>();
  return lexer.take_end();
}

bool parse_compress(Lexer& lexer, bool, CommandArguments& out) {
  std::string_view mechanism;
  if (!lexer.take_space() || !lexer.take_atom(mechanism, "Expected a mechanism")) return false;
  out = Compress{to_upper(mechanism)};
  return lexer.take_end();
}

bool parse_authenticate(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Authenticate>();
  std::string_view mechanism;
  if (!lexer.take_space() || !lexer.take_atom(mechanism, "Expected a mechanism")) return false;
  command.mechanism = to_upper(mechanism);
  if (!lexer.skip(' ') || lexer.at_end()) return lexer.take_end();
  std::string_view response = lexer.take_word();
  if (response == "=") {
    command.initial_response.emplace();
  } else {
    command.initial_response = base64_decode(response);
    if (response.empty() || !command.initial_response) return lexer.fail("Invalid base64");
  }
  return lexer.take_end();
}

bool parse_login(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Login>();
  return lexer.take_space() && lexer.take_astring(command.user) && lexer.take_space() &&
         lexer.take_astring(command.password) && lexer.take_end();
}

bool parse_id(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Id>();
  if (!lexer.take_space()) return false;
  if (lexer.skip_word("NIL")) return lexer.take_end();
  if (!lexer.take('(', "Expected a list of fields or NIL")) return false;
  if (!lexer.skip(')')) {
    do {
      std::pair<std::string, std::optional<std::string>> pair;
      if (!lexer.take_string(pair.first) || !lexer.take_space() ||
          !lexer.take_nstring(pair.second)) {
        return false;
      }
      if (pair.first.size() > kIdKeyBytesMax) return lexer.fail("Field name too long");
      if (pair.second && pair.second->size() > kIdValueBytesMax) {
        return lexer.fail("Field value too long");
      }
      if (command.pairs.size() == kIdPairsMax) return lexer.fail("Too many fields");
      command.pairs.push_back(std::move(pair));
    } while (lexer.skip(' '));
    if (!lexer.take(')', "Missing )")) return false;
  }
  return lexer.take_end();
}

bool parse_enable(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Enable>();
  if (!lexer.take_space()) return false;
  do {
    std::string_view capability;
    if (!lexer.take_atom(capability, "Expected a capability")) return false;
    if (command.capabilities.size() == kEnableMax) return lexer.fail("Too many capabilities");
    command.capabilities.push_back(to_upper(capability));
  } while (lexer.skip(' '));
  return lexer.take_end();
}

enum class WithUid : std::uint8_t { kNever, kMay };

struct Entry {
  std::string_view name;
  WithUid with_uid;
  ArgumentParser parse;
};

constexpr std::array kCommands{
    Entry{"CAPABILITY", WithUid::kNever, parse_bare<Capability>},
    Entry{"NOOP", WithUid::kNever, parse_bare<Noop>},
    Entry{"LOGOUT", WithUid::kNever, parse_bare<Logout>},
    Entry{"STARTTLS", WithUid::kNever, parse_bare<Starttls>},
    Entry{"CHECK", WithUid::kNever, parse_bare<Check>},
    Entry{"CLOSE", WithUid::kNever, parse_bare<Close>},
    Entry{"UNSELECT", WithUid::kNever, parse_bare<Unselect>},
    Entry{"IDLE", WithUid::kNever, parse_bare<Idle>},
    Entry{"NAMESPACE", WithUid::kNever, parse_bare<Namespace>},
    Entry{"COMPRESS", WithUid::kNever, parse_compress},
    Entry{"AUTHENTICATE", WithUid::kNever, parse_authenticate},
    Entry{"LOGIN", WithUid::kNever, parse_login},
    Entry{"ID", WithUid::kNever, parse_id},
    Entry{"ENABLE", WithUid::kNever, parse_enable},
    Entry{"SELECT", WithUid::kNever, parse_select},
    Entry{"EXAMINE", WithUid::kNever, parse_examine},
    Entry{"CREATE", WithUid::kNever, parse_create},
    Entry{"DELETE", WithUid::kNever, parse_delete},
    Entry{"RENAME", WithUid::kNever, parse_rename},
    Entry{"SUBSCRIBE", WithUid::kNever, parse_subscribe},
    Entry{"UNSUBSCRIBE", WithUid::kNever, parse_unsubscribe},
    Entry{"STATUS", WithUid::kNever, parse_status},
    Entry{"LIST", WithUid::kNever, parse_list},
    Entry{"LSUB", WithUid::kNever, parse_lsub},
    Entry{"APPEND", WithUid::kNever, parse_append},
    Entry{"EXPUNGE", WithUid::kMay, parse_expunge},
    Entry{"COPY", WithUid::kMay, parse_copy},
    Entry{"MOVE", WithUid::kMay, parse_move},
    Entry{"STORE", WithUid::kMay, parse_store},
    Entry{"FETCH", WithUid::kMay, parse_fetch},
    Entry{"SEARCH", WithUid::kMay, parse_search},
    Entry{"SORT", WithUid::kMay, parse_sort},
    Entry{"CANCELUPDATE", WithUid::kNever, parse_cancel_update},
    Entry{"NOTIFY", WithUid::kNever, parse_notify},
};

const Entry* find_command(std::string_view name) {
  for (const Entry& entry : kCommands) {
    if (equals_nocase(entry.name, name)) return &entry;
  }
  return nullptr;
}

bool parse_named(Lexer& lexer, Command& command) {
  std::string_view name = lexer.take_word();
  if (name.empty()) return lexer.fail("Missing command");
  const bool uid = equals_nocase(name, "UID");
  if (uid) {
    if (!lexer.take_space()) return false;
    name = lexer.take_word();
  }
  const Entry* entry = find_command(name);
  if (entry == nullptr || (uid && entry->with_uid == WithUid::kNever)) {
    return lexer.fail("Unknown command");
  }
  command.name = uid ? "UID " : "";
  command.name += entry->name;
  return entry->parse(lexer, uid, command.arguments);
}

}  // namespace

CommandHead command_head(std::string_view text) {
  CommandHead head;
  std::size_t length = 0;
  while (length < text.size() && is_tag_char(text[length])) ++length;
  if (length == 0 || length > kTagBytesMax || (length < text.size() && text[length] != ' ')) {
    return head;
  }
  head.tag = text.substr(0, length);
  Lexer lexer(text.substr(length));
  if (!lexer.skip(' ')) return head;
  head.name = lexer.take_word();
  lexer.skip(' ');
  head.rest = lexer.rest();
  return head;
}

ParseResult parse_command(std::string_view text) {
  CommandHead head = command_head(text);
  if (head.tag.empty()) {
    return std::unexpected(ParseError{"*", text.empty() ? "Empty command" : "Invalid tag", false});
  }
  Command command;
  command.tag = head.tag;
  Lexer lexer(text.substr(head.tag.size()));
  lexer.skip(' ');
  if (!parse_named(lexer, command)) {
    return std::unexpected(
        ParseError{std::move(command.tag), std::string(lexer.error()), lexer.error_is_no()});
  }
  return command;
}

std::expected<AppendMessage, ParseError> parse_append_message(std::string_view text) {
  AppendMessage message;
  Lexer lexer(text);
  if (take_append_message(lexer, message)) return message;
  return std::unexpected(ParseError{"", std::string(lexer.error()), lexer.error_is_no()});
}

bool is_done(std::string_view line) {
  while (line.ends_with(' ')) line.remove_suffix(1);
  return equals_nocase(line, "DONE");
}

}  // namespace dormouse::imap
