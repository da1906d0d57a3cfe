// LIST and LSUB, with the extended LIST of RFC 5258.

#include <array>
#include <utility>

#include "imap/syntax/command_parsers.h"
#include "imap/syntax/limits.h"

namespace dormouse::imap {
namespace {

bool take_selection(Lexer& lexer, List& command) {
  if (!lexer.take('(', "Expected selection options")) return false;
  command.extended = true;
  if (!lexer.skip(')')) {
    do {
      if (lexer.skip_word("SUBSCRIBED")) {
        command.select_subscribed = true;
      } else if (lexer.skip_word("REMOTE")) {
        command.select_remote = true;
      } else if (lexer.skip_word("RECURSIVEMATCH")) {
        command.select_recursive_match = true;
      } else if (lexer.skip_word("SPECIAL-USE")) {
        command.select_special_use = true;
      } else {
        return lexer.fail("Unknown selection option");
      }
    } while (lexer.skip(' '));
    if (!lexer.take(')', "Missing ) after selection options")) return false;
  }
  // RFC 5258 3.1: it says which parents to show of what another option selects.
  if (command.select_recursive_match && !command.select_subscribed && !command.select_special_use) {
    return lexer.fail("RECURSIVEMATCH needs another selection option");
  }
  return true;
}

bool take_patterns(Lexer& lexer, List& command) {
  if (!lexer.next_is('(')) return lexer.take_list_mailbox(command.patterns.emplace_back());
  lexer.skip('(');
  command.extended = true;
  do {
    if (command.patterns.size() == kListPatternsMax) return lexer.fail("Too many patterns");
    if (!lexer.take_list_mailbox(command.patterns.emplace_back())) return false;
  } while (lexer.skip(' '));
  return lexer.take(')', "Missing ) after patterns");
}

bool take_return(Lexer& lexer, List& command) {
  if (!lexer.skip_word("RETURN")) return lexer.fail("Too many arguments");
  command.extended = true;
  if (!lexer.take_space() || !lexer.take('(', "Expected return options")) return false;
  if (lexer.skip(')')) return true;
  do {
    if (lexer.skip_word("SUBSCRIBED")) {
      command.return_subscribed = true;
    } else if (lexer.skip_word("CHILDREN")) {
      command.return_children = true;
    } else if (lexer.skip_word("SPECIAL-USE")) {
      command.return_special_use = true;
    } else if (lexer.skip_word("STATUS")) {
      if (!lexer.take_space() || !take_status_items(lexer, command.return_status)) return false;
    } else {
      return lexer.fail("Unknown return option");
    }
  } while (lexer.skip(' '));
  return lexer.take(')', "Missing ) after return options");
}

}  // namespace

MailboxAttributes special_use(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, MailboxAttributes>, 8> kUses{{
      {"\\All", kUseAll},
      {"\\Archive", kUseArchive},
      {"\\Drafts", kUseDrafts},
      {"\\Flagged", kUseFlagged},
      {"\\Junk", kUseJunk},
      {"\\Sent", kUseSent},
      {"\\Trash", kUseTrash},
      {"\\Important", kUseImportant},
  }};
  for (const auto& [known, use] : kUses) {
    if (equals_nocase(name, known)) return use;
  }
  return 0;
}

bool parse_list(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<List>();
  if (!lexer.take_space()) return false;
  if (lexer.next_is('(')) {
    if (!take_selection(lexer, command) || !lexer.take_space()) return false;
  }
  if (!lexer.take_mailbox(command.reference) || !lexer.take_space() ||
      !take_patterns(lexer, command)) {
    return false;
  }
  if (lexer.skip(' ') && !lexer.at_end() && !take_return(lexer, command)) return false;
  return lexer.take_end();
}

bool parse_lsub(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<List>();
  command.lsub = true;
  return lexer.take_space() && lexer.take_mailbox(command.reference) && lexer.take_space() &&
         lexer.take_list_mailbox(command.patterns.emplace_back()) && lexer.take_end();
}

}  // namespace dormouse::imap
