#pragma once
// Names of keywords to bits and back. Keyword names are compared without case (RFC 9051 2.3.2).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "store/index.h"
#include "store/state.h"

namespace dormouse::store {

bool same_keyword(std::string_view a, std::string_view b);
// Lowest bit without a name; letters (bits 0..25) come first, so they are used up first.
std::optional<size_t> first_free_bit(const std::vector<std::string>& known);
Keywords known_keyword_bits(const std::vector<std::string>& known,
                            std::span<const std::string> names);
// Gives new names a bit, inside the caller's write transaction, and rewrites dovecot-keywords.
Result<Keywords> make_keyword_bits(StoreState& state, const MailboxRow& row,
                                   std::span<const std::string> names);
std::vector<std::string> keyword_names(const std::vector<std::string>& known, const Keywords& bits);

// The suffix that a message with these flags has: its letters, the unnamed letters it had before.
std::string suffix_for(const Message& message, const std::vector<std::string>& known,
                       std::string_view old_suffix);

}  // namespace dormouse::store
