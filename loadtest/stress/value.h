#pragma once
// Value: the data of an untagged response as a tree (RFC 3501 9): atoms, strings, NIL, lists.
//
//   values = value *(SP value)
//   value  = "(" [values] ")" / quoted / "{" number "}" / atom
//   atom   = 1*<any but SP ( ) " and { at its front>, brackets with whatever stands in them
//   included:
//            BODY[HEADER.FIELDS (TO CC)]<0>
//
// "{n}" stands for the next of the literals that ResponseScanner kept.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"

namespace dormouse::loadtest::stress {

struct Value {
  enum class Kind : uint8_t { kAtom, kString, kList };  // NIL is the atom
  Kind kind = Kind::kAtom;
  std::string text = {};
  std::vector<Value> list = {};

  bool is_list() const { return kind == Kind::kList; }
  bool is_atom(std::string_view atom) const;  // any case
  // The number that an atom is.
  std::optional<uint64_t> number() const;
  // The same text for the same data, whether a string came quoted or as a literal.
  std::string canonical() const;
};

// No response we ask for is nested deeper than a BODYSTRUCTURE of our own mails.
inline constexpr size_t kValueDepthMax = 64;

// kInvalid for what does not fit the grammar above.
Result<std::vector<Value>> parse_values(std::string_view text,
                                        std::span<const std::string> literals);

// "1:4,7" (RFC 3501 sequence-set without "*"), in the order written, each number once for each time
// that it is named. kInvalid for anything else, and beyond `numbers_max`.
Result<std::vector<uint32_t>> parse_set(std::string_view text, size_t numbers_max);

// The other way: ascending numbers as a set, runs joined.
std::string write_set(std::span<const uint32_t> numbers);

std::string to_upper(std::string_view text);
std::optional<uint64_t> to_number(std::string_view text);

}  // namespace dormouse::loadtest::stress
