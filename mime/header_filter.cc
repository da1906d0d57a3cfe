#include "mime/header_filter.h"

#include <algorithm>

#include "mime/ascii.h"

namespace dormouse::mime {

HeaderFilter::HeaderFilter(const Section& section)
    : fields_(section.fields), except_(section.kind == SectionKind::kHeaderFieldsNot) {}

bool HeaderFilter::wanted(std::string_view name) const {
  const bool listed =
      std::ranges::any_of(fields_, [&](const std::string& f) { return same_name(f, name); });
  return listed != except_;
}

void HeaderFilter::put(std::string_view bytes, std::string& out) {
  if (!keep_) return;
  for (char c : bytes) {
    if (c == '\n' && previous_ != '\r') out.push_back('\r');
    out.push_back(c == '\0' ? static_cast<char>(0x80) : c);
    previous_ = c;
  }
}

// The line so far, in name_, says whether the field is wanted.
void HeaderFilter::begin_field() {
  in_name_ = false;
  std::string_view name = name_;
  if (is_blank(name.front())) return;  // a continuation: as the field before it
  const std::size_t colon = name.find(':');
  if (colon == std::string_view::npos) {
    if (first_) keep_ = wanted("");
  } else {
    keep_ = wanted(trimmed(name.substr(0, colon)));
  }
  first_ = false;
  previous_ = '\n';
}

void HeaderFilter::feed(std::string_view bytes, std::string& out) {
  while (!bytes.empty() && !ended_) {
    const std::size_t lf = bytes.find('\n');
    std::string_view piece = bytes.substr(0, lf == std::string_view::npos ? lf : lf + 1);
    bytes.remove_prefix(piece.size());
    if (in_name_) {
      // Enough of the line to tell: the colon, a blank before it all, the end, or too much.
      const std::size_t room = kNameBytesMax + 1 - name_.size();
      const std::size_t colon = piece.find(':');
      const std::size_t take = std::min({room, colon == piece.npos ? piece.size() : colon + 1});
      name_ += piece.substr(0, take);
      piece.remove_prefix(take);
      const bool known = is_blank(name_.front()) || name_.ends_with(':') || name_.ends_with('\n') ||
                         name_.size() > kNameBytesMax;
      if (!known) continue;
      if (name_ == "\n" || name_ == "\r\n") {
        ended_ = true;
        return;
      }
      begin_field();
      put(name_, out);
      if (name_.ends_with('\n')) in_name_ = true;
      name_.clear();
    }
    put(piece, out);
    if (piece.ends_with('\n')) in_name_ = true;
  }
}

void HeaderFilter::finish(std::string& out) {
  if (in_name_ && !name_.empty() && !ended_) {  // the last line, cut off
    begin_field();
    put(name_, out);
    in_name_ = false;
  }
  if (keep_ && !in_name_ && !ended_) out += "\r\n";  // a field without a line end
  out += "\r\n";
}

std::vector<std::string> header_values(std::string_view header, std::string_view field) {
  std::vector<std::string> values;
  bool inside = false;
  while (!header.empty()) {
    const std::size_t lf = header.find('\n');
    std::string_view line = header.substr(0, lf);
    header.remove_prefix(lf == std::string_view::npos ? header.size() : lf + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if (is_blank(line.front())) {
      if (inside) values.back() += line;
      continue;
    }
    const std::size_t colon = line.find(':');
    inside = colon != std::string_view::npos && same_name(trimmed(line.substr(0, colon)), field);
    if (inside) values.emplace_back(line.substr(colon + 1));
  }
  for (std::string& value : values) value = trimmed(value);
  return values;
}

}  // namespace dormouse::mime
