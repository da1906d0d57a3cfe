#include "auth/passwd_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "auth/limits.h"
#include "io/secret.h"

namespace dormouse::auth {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

bool same_user(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view user_of(std::string_view line) { return line.substr(0, line.find(':')); }

}  // namespace

Result<std::shared_ptr<const PasswdFile>> PasswdFile::parse(std::string text,
                                                            const Options& options) {
  if (text.size() > kPasswdFileBytesMax) {
    io::wipe(text);
    return fail(ErrorKind::kLimit,
                fmt::format("a passwd-file of more than {} bytes", kPasswdFileBytesMax));
  }
  std::shared_ptr<PasswdFile> file(new PasswdFile(std::move(text), options));
  file->index();
  return std::shared_ptr<const PasswdFile>(std::move(file));
}

PasswdFile::~PasswdFile() { io::wipe(text_); }

uint64_t PasswdFile::hash(std::string_view user) const {
  // FNV-1a from a secret start, then a multiply-xorshift: FNV's low bits alone cluster.
  uint64_t value = 0xcbf29ce484222325 ^ options_.seed;
  for (char c : user) value = (value ^ static_cast<unsigned char>(lower(c))) * 0x100000001b3;
  value = (value ^ value >> 32) * 0x9e3779b97f4a7c15;
  return value ^ value >> 29;
}

std::string_view PasswdFile::line_at(uint32_t offset) const {
  std::string_view rest = std::string_view(text_).substr(offset);
  rest = rest.substr(0, rest.find('\n'));
  if (rest.ends_with('\r')) rest.remove_suffix(1);
  return rest;
}

size_t PasswdFile::slot_of(std::string_view user) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = hash(user) & mask;
  while (slots_[slot] != 0 && !same_user(user_of(line_at(slots_[slot] - 1)), user)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

void PasswdFile::complain(size_t line, bool wrong, std::string text) {
  if (++complaints_total_ <= kComplaintsMax) complaints_.push_back({line, wrong, std::move(text)});
}

void PasswdFile::index() {
  const size_t lines = size_t(std::count(text_.begin(), text_.end(), '\n')) + 1;
  slots_.assign(std::bit_ceil(2 * lines), 0);
  size_t number = 0;
  for (size_t at = 0; at < text_.size();) {
    add(at, ++number);
    at = std::min(text_.find('\n', at), text_.size() - 1) + 1;
  }
}

void PasswdFile::add(size_t offset, size_t number) {
  auto parsed = parse_passwd_line(line_at(uint32_t(offset)));
  if (!parsed) return complain(number, true, parsed.error());
  if (parsed->kind == LineKind::kComment) return;
  const PasswdEntry& entry = parsed->entry;
  uint32_t& slot = slots_[slot_of(entry.user)];
  if (slot != 0) return complain(number, true, "an earlier line has the same user, and counts");
  slot = uint32_t(offset) + 1;
  ++users_;
  if (!entry.ignored.empty()) {
    complain(number, false, fmt::format("the field {} is ignored", entry.ignored));
  }
  auto stored = split_stored(entry.secret, options_.default_scheme);
  if (!stored || stored->data.empty()) return;
  has_plain_ = has_plain_ || stored->scheme == Scheme::kPlain;
  if (++scheme_users_[size_t(stored->scheme)] > scheme_users_[size_t(decoy_.scheme)] ||
      decoy_.data.empty()) {
    decoy_ = *stored;
  }
}

std::optional<PasswdEntry> PasswdFile::find(std::string_view user) const {
  if (user.empty() || user.size() > kUserBytesMax) return std::nullopt;
  const uint32_t offset = slots_[slot_of(user)];
  if (offset == 0) return std::nullopt;
  auto parsed = parse_passwd_line(line_at(offset - 1));
  DORMOUSE_CHECK(parsed && parsed->kind == LineKind::kEntry, "an indexed line is an entry");
  return parsed->entry;
}

}  // namespace dormouse::auth
