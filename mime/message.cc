#include "mime/message.h"

namespace dormouse::mime {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

// Index of the part a number path names, or parts.size(). RFC 3501 6.4.5: numbers count the parts
// of a multipart; what is not a multipart has a part 1, itself; a message/rfc822 part lends its
// numbers to the message inside it.
std::size_t part_index(const std::vector<Part>& parts, const std::vector<std::uint32_t>& numbers) {
  std::size_t at = 0;
  // The root of a message, which may be named "1" when it has no parts of its own.
  bool at_root = true;
  for (std::uint32_t number : numbers) {
    if (!at_root && parts[at].kind == PartKind::kMessage) {
      at = at + 1;
      at_root = true;
    }
    if (parts[at].kind != PartKind::kMultipart) {
      if (!at_root || number != 1) return parts.size();
      at_root = false;
      continue;
    }
    std::size_t end = at + parts[at].subtree;
    std::size_t child = at + 1;
    for (std::uint32_t n = 1; n < number && child < end; ++n) child += parts[child].subtree;
    if (number == 0 || child >= end) return parts.size();
    at = child;
    at_root = false;
  }
  return at;
}

Range join(const Range& header, const Range& body) {
  return {header.offset, header.bytes + body.bytes, header.bare_lfs + body.bare_lfs,
          header.lines + body.lines};
}

}  // namespace

Range MessageStructure::whole() const { return join(parts[0].header, parts[0].body); }

const Part* find_part(const MessageStructure& structure,
                      const std::vector<std::uint32_t>& numbers) {
  std::size_t index = part_index(structure.parts, numbers);
  return index < structure.parts.size() ? &structure.parts[index] : nullptr;
}

Result<Range> find_section(const MessageStructure& structure, const Section& section) {
  const Part* part = find_part(structure, section.part);
  if (part == nullptr) return fail(ErrorKind::kNotFound, "no such part");
  if (section.kind == SectionKind::kMime) {
    if (section.part.empty()) return fail(ErrorKind::kNotFound, "MIME needs a part number");
    return part->header;
  }
  if (section.kind == SectionKind::kAll) {
    return section.part.empty() ? structure.whole() : part->body;
  }
  // HEADER and TEXT are of a message: the whole one, or the one inside a message/rfc822 part.
  const Part* root = part;
  if (!section.part.empty()) {
    if (part->kind != PartKind::kMessage) {
      return fail(ErrorKind::kNotFound, "the part is not a message");
    }
    root = part + 1;
  }
  return section.kind == SectionKind::kText ? root->body : root->header;
}

const std::string* find_parameter(const std::vector<Parameter>& parameters, std::string_view name) {
  for (const Parameter& parameter : parameters) {
    if (same_name(parameter.name, name)) return &parameter.value;
  }
  return nullptr;
}

}  // namespace dormouse::mime
