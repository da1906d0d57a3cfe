#pragma once
// Picks fields out of a header: BODY[HEADER.FIELDS (...)] and .NOT (RFC 3501 6.4.5), and single
// fields for SEARCH HEADER.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mime/section.h"

namespace dormouse::mime {

// Fed with the bytes of a header (the range that find_section() gave), appends the fields wanted,
// lines ending in CRLF, order and folding kept, and at finish() the empty line. A line that is no
// field (no colon) goes with the field before it; one at the very start counts as a field without a
// name. Holds at most one field name of kNameBytesMax.
class HeaderFilter {
 public:
  explicit HeaderFilter(const Section& section);

  void feed(std::string_view bytes, std::string& out);
  void finish(std::string& out);

 private:
  static constexpr std::size_t kNameBytesMax = 998;  // RFC 5322 2.1.1: no line is longer

  void begin_field();
  void put(std::string_view bytes, std::string& out);
  bool wanted(std::string_view name) const;

  std::vector<std::string> fields_;
  bool except_ = false;
  bool in_name_ = true;  // at the start of a line, colon not seen yet
  bool keep_ = false;    // the field being read is wanted
  bool ended_ = false;   // the empty line was seen
  bool first_ = true;    // no field was seen yet
  char previous_ = '\n';
  std::string name_;  // the line so far, while in_name_
};

// Every value of a field, unfolded (line ends removed, RFC 5322 2.2.3), in order. For headers in
// memory; the views of fold-free values would not survive, so these are copies.
std::vector<std::string> header_values(std::string_view header, std::string_view field);

}  // namespace dormouse::mime
