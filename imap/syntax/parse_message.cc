// FETCH, STORE, COPY, MOVE, EXPUNGE.

#include <array>
#include <utility>

#include "imap/syntax/command_parsers.h"
#include "imap/syntax/limits.h"

namespace dormouse::imap {
namespace {

using mime::SectionKind;

bool take_field_names(Lexer& lexer, std::vector<std::string>& fields) {
  if (!lexer.take_space() || !lexer.take('(', "Expected header field names")) return false;
  do {
    std::string name;
    if (!lexer.take_astring(name)) return false;
    if (name.empty() || name.size() > kHeaderFieldBytesMax) {
      return lexer.fail("Invalid header field name");
    }
    if (fields.size() == kHeaderFieldsMax) return lexer.fail("Too many header fields");
    fields.push_back(std::move(name));
  } while (lexer.skip(' '));
  return lexer.take(')', "Missing ) after header field names");
}

// section-msgtext and MIME.
bool take_section_text(Lexer& lexer, mime::Section& section) {
  if (lexer.skip_word("HEADER")) {
    section.kind = SectionKind::kHeader;
  } else if (lexer.skip_word("TEXT")) {
    section.kind = SectionKind::kText;
  } else if (lexer.skip_word("MIME") && !section.part.empty()) {
    section.kind = SectionKind::kMime;
  } else if (lexer.skip_word("HEADER.FIELDS")) {
    section.kind = SectionKind::kHeaderFields;
    return take_field_names(lexer, section.fields);
  } else if (lexer.skip_word("HEADER.FIELDS.NOT")) {
    section.kind = SectionKind::kHeaderFieldsNot;
    return take_field_names(lexer, section.fields);
  } else {
    return lexer.fail("Invalid section");
  }
  return true;
}

// What stands behind "[", with the "]".
bool take_section(Lexer& lexer, mime::Section& section) {
  if (lexer.skip(']')) return true;
  bool text = true;  // a text part may follow, or must (after a dot)
  while (lexer.next() >= '0' && lexer.next() <= '9') {
    std::uint32_t number = 0;
    if (!lexer.take_nz_number(number, "Invalid part number")) return false;
    if (section.part.size() == kSectionDepthMax) return lexer.fail("Section too deep");
    section.part.push_back(number);
    text = lexer.skip('.');
    if (!text) break;
  }
  if (text && !take_section_text(lexer, section)) return false;
  return lexer.take(']', "Missing ] after section");
}

// "<o.n>", if it is there.
bool take_partial(Lexer& lexer, FetchBody& body) {
  if (!lexer.skip('<')) return true;
  FetchBody::Partial partial;
  std::uint64_t offset = 0;
  if (!lexer.take_number(UINT32_MAX, offset, "Invalid offset") ||
      !lexer.take('.', "Invalid partial") ||
      !lexer.take_nz_number(partial.octets, "Invalid octet count")) {
    return false;
  }
  partial.offset = static_cast<std::uint32_t>(offset);
  body.partial = partial;
  return lexer.take('>', "Missing > after partial");
}

bool add_body(Lexer& lexer, Fetch& command, FetchBody body) {
  if (command.bodies.size() == kFetchBodiesMax) return lexer.fail("Too many BODY items");
  command.bodies.push_back(std::move(body));
  return true;
}

// The word of a fetch item: letters, digits, dots.
std::string_view item_word(Lexer& lexer) {
  std::string_view rest = lexer.rest();
  std::size_t length = 0;
  while (length < rest.size() && is_atom_char(rest[length]) && rest[length] != '[') ++length;
  for (std::size_t i = 0; i < length; ++i) lexer.skip(rest[i]);
  return rest.substr(0, length);
}

bool take_fetch_item(Lexer& lexer, Fetch& command) {
  static constexpr std::array<std::pair<std::string_view, FetchItems>, 8> kItems{{
      {"UID", kFetchUid},
      {"FLAGS", kFetchFlags},
      {"INTERNALDATE", kFetchInternalDate},
      {"RFC822.SIZE", kFetchSize},
      {"ENVELOPE", kFetchEnvelope},
      {"BODYSTRUCTURE", kFetchBodyStructure},
      {"BODY", kFetchBody},
      {"MODSEQ", kFetchModSeq},
  }};
  std::string_view word = item_word(lexer);
  FetchBody body;
  if (lexer.skip('[')) {
    body.peek = equals_nocase(word, "BODY.PEEK");
    if (!body.peek && !equals_nocase(word, "BODY")) return lexer.fail("Unknown FETCH item");
    return take_section(lexer, body.section) && take_partial(lexer, body) &&
           add_body(lexer, command, std::move(body));
  }
  for (const auto& [name, item] : kItems) {
    if (equals_nocase(word, name)) {
      command.items |= item;
      return true;
    }
  }
  if (equals_nocase(word, "RFC822")) {
    body.name = FetchBody::Name::kRfc822;
  } else if (equals_nocase(word, "RFC822.HEADER")) {
    body.name = FetchBody::Name::kRfc822Header;
    body.section.kind = SectionKind::kHeader;
    body.peek = true;
  } else if (equals_nocase(word, "RFC822.TEXT")) {
    body.name = FetchBody::Name::kRfc822Text;
    body.section.kind = SectionKind::kText;
  } else {
    return lexer.fail("Unknown FETCH item");
  }
  return add_body(lexer, command, std::move(body));
}

bool take_fetch_items(Lexer& lexer, Fetch& command) {
  constexpr FetchItems kFast = kFetchFlags | kFetchInternalDate | kFetchSize;
  if (lexer.skip_word("FAST")) {
    command.items = kFast;
  } else if (lexer.skip_word("ALL")) {
    command.items = kFast | kFetchEnvelope;
  } else if (lexer.skip_word("FULL")) {
    command.items = kFast | kFetchEnvelope | kFetchBody;
  } else if (lexer.next_is('(')) {
    return take_fetch_list(lexer, command);
  } else {
    return take_fetch_item(lexer, command);
  }
  return true;
}

// "(CHANGEDSINCE 7 VANISHED)" of RFC 7162, "(PARTIAL -1:-30)" of RFC 9394.
bool take_fetch_modifiers(Lexer& lexer, Fetch& command) {
  if (!lexer.take('(', "Expected FETCH modifiers")) return false;
  do {
    if (lexer.skip_word("CHANGEDSINCE")) {
      if (!lexer.take_space() || !lexer.take_mod_seq(command.changed_since.emplace())) return false;
      command.items |= kFetchModSeq;
    } else if (lexer.skip_word("VANISHED")) {
      command.vanished = true;
    } else if (lexer.skip_word("PARTIAL")) {
      if (command.partial) return lexer.fail("PARTIAL is allowed once");
      if (!take_partial_range(lexer, command.partial.emplace())) return false;
    } else {
      return lexer.fail("Unknown FETCH modifier");
    }
  } while (lexer.skip(' '));
  if (command.vanished && (!command.uid || !command.changed_since)) {
    return lexer.fail("VANISHED needs UID FETCH and CHANGEDSINCE");
  }
  if (command.partial && !command.uid) return lexer.fail("PARTIAL needs UID FETCH");
  return lexer.take(')', "Missing ) after FETCH modifiers");
}

bool take_store_modifiers(Lexer& lexer, Store& command) {
  if (!lexer.skip('(')) return true;
  if (!lexer.skip_word("UNCHANGEDSINCE")) return lexer.fail("Unknown STORE modifier");
  return lexer.take_space() && lexer.take_mod_seq(command.unchanged_since.emplace()) &&
         lexer.take(')', "Missing ) after STORE modifiers") && lexer.take_space();
}

bool take_copy(Lexer& lexer, bool uid, bool move, CommandArguments& out) {
  auto& command = out.emplace<Copy>();
  command.uid = uid;
  command.move = move;
  return lexer.take_space() && lexer.take_sequence_set(command.messages) && lexer.take_space() &&
         lexer.take_mailbox(command.mailbox) && lexer.take_end();
}

}  // namespace

bool take_fetch_list(Lexer& lexer, Fetch& out) {
  if (!lexer.take('(', "Expected FETCH items")) return false;
  do {
    if (!take_fetch_item(lexer, out)) return false;
  } while (lexer.skip(' '));
  return lexer.take(')', "Missing ) after FETCH items");
}

bool parse_fetch(Lexer& lexer, bool uid, CommandArguments& out) {
  auto& command = out.emplace<Fetch>();
  command.uid = uid;
  if (!lexer.take_space() || !lexer.take_sequence_set(command.messages) || !lexer.take_space() ||
      !take_fetch_items(lexer, command)) {
    return false;
  }
  if (lexer.skip(' ') && !lexer.at_end() && !take_fetch_modifiers(lexer, command)) return false;
  return lexer.take_end();
}

bool parse_store(Lexer& lexer, bool uid, CommandArguments& out) {
  auto& command = out.emplace<Store>();
  command.uid = uid;
  if (!lexer.take_space() || !lexer.take_sequence_set(command.messages) || !lexer.take_space() ||
      !take_store_modifiers(lexer, command)) {
    return false;
  }
  if (lexer.skip('+')) {
    command.mode = StoreMode::kAdd;
  } else if (lexer.skip('-')) {
    command.mode = StoreMode::kRemove;
  }
  if (lexer.skip_word("FLAGS.SILENT")) {
    command.silent = true;
  } else if (!lexer.skip_word("FLAGS")) {
    return lexer.fail("Unknown STORE item");
  }
  if (!lexer.take_space()) return false;
  if (lexer.next_is('(')) return lexer.take_flag_list(command.flags) && lexer.take_end();
  do {
    if (!lexer.take_flag(command.flags)) return false;
  } while (lexer.skip(' ') && !lexer.at_end());
  return lexer.take_end();
}

bool parse_copy(Lexer& lexer, bool uid, CommandArguments& out) {
  return take_copy(lexer, uid, false, out);
}

bool parse_move(Lexer& lexer, bool uid, CommandArguments& out) {
  return take_copy(lexer, uid, true, out);
}

bool parse_expunge(Lexer& lexer, bool uid, CommandArguments& out) {
  auto& command = out.emplace<Expunge>();
  if (uid) {
    if (!lexer.take_space() || !lexer.take_sequence_set(command.uids.emplace())) return false;
  }
  return lexer.take_end();
}

}  // namespace dormouse::imap
