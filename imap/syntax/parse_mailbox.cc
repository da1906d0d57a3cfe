// Commands about a mailbox as a whole, LIST and LSUB apart.

#include <array>
#include <utility>

#include "imap/syntax/command_parsers.h"

namespace dormouse::imap {
namespace {

// known-sequence-set and known-uid-set (RFC 7162 3.2.5.2): "(" set SP set ")".
bool take_seq_match(Lexer& lexer, Qresync& qresync) {
  if (!lexer.take('(', "Expected known numbers") || !lexer.take_uid_set(qresync.match_seqs) ||
      !lexer.take_space() || !lexer.take_uid_set(qresync.match_uids) ||
      !lexer.take(')', "Missing ) after known UIDs")) {
    return false;
  }
  return qresync.match_seqs.count() == qresync.match_uids.count() ||
         lexer.fail("Known numbers and UIDs differ in count");
}

bool take_qresync(Lexer& lexer, Qresync& qresync) {
  if (!lexer.take_space() || !lexer.take('(', "Expected QRESYNC parameters") ||
      !lexer.take_nz_number(qresync.uid_validity, "Invalid UIDVALIDITY") || !lexer.take_space() ||
      !lexer.take_mod_seq(qresync.mod_seq)) {
    return false;
  }
  if (lexer.skip(' ')) {
    if (!lexer.next_is('(')) {
      if (!lexer.take_uid_set(qresync.known_uids.emplace())) return false;
      if (lexer.skip(' ') && !take_seq_match(lexer, qresync)) return false;
    } else if (!take_seq_match(lexer, qresync)) {
      return false;
    }
  }
  return lexer.take(')', "Missing ) after QRESYNC parameters");
}

bool take_select_parameters(Lexer& lexer, Select& command) {
  if (!lexer.take('(', "Expected parameters")) return false;
  do {
    if (lexer.skip_word("CONDSTORE")) {
      command.condstore = true;
    } else if (lexer.skip_word("QRESYNC") && !command.qresync) {
      if (!take_qresync(lexer, command.qresync.emplace())) return false;
    } else {
      return lexer.fail("Unknown parameter");
    }
  } while (lexer.skip(' '));
  return lexer.take(')', "Missing ) after parameters");
}

bool parse_opening(Lexer& lexer, bool examine, CommandArguments& out) {
  auto& command = out.emplace<Select>();
  command.examine = examine;
  if (!lexer.take_space() || !lexer.take_mailbox(command.mailbox)) return false;
  if (lexer.skip(' ') && !lexer.at_end() && !take_select_parameters(lexer, command)) return false;
  return lexer.take_end();
}

template <class T>
bool parse_one_mailbox(Lexer& lexer, CommandArguments& out) {
  auto& command = out.emplace<T>();
  return lexer.take_space() && lexer.take_mailbox(command.mailbox) && lexer.take_end();
}

// "(USE (\Sent \Drafts))" of RFC 6154.
bool take_create_parameters(Lexer& lexer, Create& command) {
  if (!lexer.take('(', "Expected parameters")) return false;
  if (!lexer.skip_word("USE")) return lexer.fail("Unknown parameter");
  if (!lexer.take_space() || !lexer.take('(', "Expected special uses")) return false;
  if (!lexer.skip(')')) {
    do {
      if (!lexer.take('\\', "Expected a special use")) return false;
      MailboxAttributes use = special_use("\\" + std::string(lexer.take_word()));
      if (use == 0) return lexer.fail_no("[USEATTR] Unknown special use");
      command.uses |= use;
    } while (lexer.skip(' '));
    if (!lexer.take(')', "Missing ) after special uses")) return false;
  }
  return lexer.take(')', "Missing ) after parameters");
}

}  // namespace

bool parse_select(Lexer& lexer, bool, CommandArguments& out) {
  return parse_opening(lexer, false, out);
}

bool parse_examine(Lexer& lexer, bool, CommandArguments& out) {
  return parse_opening(lexer, true, out);
}

bool parse_create(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Create>();
  if (!lexer.take_space() || !lexer.take_mailbox(command.mailbox)) return false;
  if (lexer.skip(' ') && !lexer.at_end() && !take_create_parameters(lexer, command)) return false;
  return lexer.take_end();
}

bool parse_delete(Lexer& lexer, bool, CommandArguments& out) {
  return parse_one_mailbox<Delete>(lexer, out);
}

bool parse_rename(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Rename>();
  return lexer.take_space() && lexer.take_mailbox(command.from) && lexer.take_space() &&
         lexer.take_mailbox(command.to) && lexer.take_end();
}

bool parse_subscribe(Lexer& lexer, bool, CommandArguments& out) {
  return parse_one_mailbox<Subscribe>(lexer, out);
}

bool parse_unsubscribe(Lexer& lexer, bool, CommandArguments& out) {
  return parse_one_mailbox<Unsubscribe>(lexer, out);
}

bool take_status_items(Lexer& lexer, StatusItems& out) {
  static constexpr std::array<std::pair<std::string_view, StatusItems>, 7> kItems{{
      {"MESSAGES", kStatusMessages},
      {"RECENT", kStatusRecent},
      {"UIDNEXT", kStatusUidNext},
      {"UIDVALIDITY", kStatusUidValidity},
      {"UNSEEN", kStatusUnseen},
      {"HIGHESTMODSEQ", kStatusHighestModSeq},
      {"SIZE", kStatusSize},
  }};
  if (!lexer.take('(', "Expected status items")) return false;
  do {
    std::string_view name = lexer.take_word();
    StatusItems item = 0;
    for (const auto& [known, bit] : kItems) {
      if (equals_nocase(name, known)) item = bit;
    }
    if (item == 0) return lexer.fail("Unknown status item");
    out |= item;
  } while (lexer.skip(' '));
  return lexer.take(')', "Missing ) after status items");
}

bool parse_status(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Status>();
  return lexer.take_space() && lexer.take_mailbox(command.mailbox) && lexer.take_space() &&
         take_status_items(lexer, command.items) && lexer.take_end();
}

bool take_append_message(Lexer& lexer, AppendMessage& out) {
  if (!lexer.take_space()) return false;
  if (lexer.next_is('(')) {
    if (!lexer.take_flag_list(out.flags) || !lexer.take_space()) return false;
  }
  if (lexer.next_is('"')) {
    std::string date;
    if (!lexer.take_string(date)) return false;
    out.date = parse_date_time(date);
    if (!out.date) return lexer.fail("Invalid date-time");
    if (!lexer.take_space()) return false;
  }
  if (!lexer.take('{', "Expected a message literal") ||
      !lexer.take_number(INT64_MAX, out.literal_octets, "Invalid literal")) {
    return false;
  }
  lexer.skip('+');
  return lexer.take('}', "Invalid literal") && (lexer.at_end() || lexer.fail("Invalid literal"));
}

bool parse_append(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Append>();
  return lexer.take_space() && lexer.take_mailbox(command.mailbox) &&
         take_append_message(lexer, command.message);
}

}  // namespace dormouse::imap
