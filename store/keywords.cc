#include "store/keywords.h"

#include <algorithm>

#include "store/dovecot_files.h"
#include "store/files.h"
#include "store/maildir_name.h"
#include "store/sync.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::optional<size_t> bit_of(const std::vector<std::string>& known, std::string_view name) {
  for (size_t bit = 0; bit < known.size(); ++bit) {
    if (same_keyword(known[bit], name)) return bit;
  }
  return std::nullopt;
}

}  // namespace

bool same_keyword(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<size_t> first_free_bit(const std::vector<std::string>& known) {
  for (size_t bit = 0; bit < kKeywordsMax; ++bit) {
    if (bit >= known.size() || known[bit].empty()) return bit;
  }
  return std::nullopt;
}

Keywords known_keyword_bits(const std::vector<std::string>& known,
                            std::span<const std::string> names) {
  Keywords bits;
  for (const std::string& name : names) {
    if (name.empty()) continue;
    if (auto bit = bit_of(known, name)) bits.set(*bit);
  }
  return bits;
}

Result<Keywords> make_keyword_bits(StoreState& state, const MailboxRow& row,
                                   std::span<const std::string> names) {
  STORE_ASSIGN(auto known, load_keywords(state, row.id));
  auto missing = [&](const std::string& name) { return !bit_of(known, name); };
  if (std::ranges::none_of(names, missing)) return known_keyword_bits(known, names);

  STORE_ASSIGN(std::string folder, folder_of(row.name));
  std::string directory = state.directory_of_folder(folder);
  STORE_ASSIGN(known, refresh_keywords(state, row, directory));
  for (const std::string& name : names) {
    if (!missing(name)) continue;
    if (!is_valid_keyword(name)) return fail(ErrorKind::kInvalid, "not a keyword: " + name);
    auto bit = first_free_bit(known);
    if (!bit) return fail(ErrorKind::kLimit, "the mailbox has 64 keywords already");
    if (known.size() <= *bit) known.resize(*bit + 1);
    known[*bit] = name;
    STORE_TRY(save_keyword(state, row.id, *bit, name));
  }
  // Before the commit: a name in the file that the index lacks does no harm, a letter without a
  // name would, once the index were lost.
  STORE_TRY(replace_file(directory + "/dovecot-keywords", format_keywords(known)));
  return known_keyword_bits(known, names);
}

std::vector<std::string> keyword_names(const std::vector<std::string>& known,
                                       const Keywords& bits) {
  std::vector<std::string> names;
  for (size_t bit = 0; bit < known.size(); ++bit) {
    if (bits.test(bit) && !known[bit].empty()) names.push_back(known[bit]);
  }
  return names;
}

std::string suffix_for(const Message& message, const std::vector<std::string>& known,
                       std::string_view old_suffix) {
  uint32_t named = 0;
  for (size_t bit = 0; bit < std::min(known.size(), kLetterKeywords); ++bit) {
    if (!known[bit].empty()) named |= 1u << bit;
  }
  auto letters = static_cast<uint32_t>(message.keywords.to_ullong() & named);
  letters |= parse_suffix(old_suffix).letters & ~named;
  return make_suffix(message.flags, letters, old_suffix);
}

}  // namespace dormouse::store
