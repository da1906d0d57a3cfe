#include "loadtest/user_pattern.h"

#include <fmt/format.h>

namespace dormouse::loadtest {
namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Result<UserPattern> UserPattern::parse(std::string_view pattern) {
  if (pattern.empty() || pattern.size() > kPatternBytesMax) {
    return fail(ErrorKind::kInvalid, "a user pattern is 1 to 1024 bytes long");
  }
  UserPattern parsed;
  Piece piece;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      piece.text += pattern[i];
      continue;
    }
    ++i;
    if (i < pattern.size() && pattern[i] == '%') {
      piece.text += '%';
      continue;
    }
    piece.width = 0;
    if (i + 1 < pattern.size() && pattern[i] == '0' && is_digit(pattern[i + 1])) {
      piece.width = pattern[i + 1] - '0';
      i += 2;
    }
    if (i >= pattern.size() || pattern[i] != 'd') {
      return fail(ErrorKind::kInvalid,
                  fmt::format("user pattern '{}': only %d, %0Nd and %% are known", pattern));
    }
    parsed.numbered_ = true;
    parsed.pieces_.push_back(std::move(piece));
    piece = Piece{};
  }
  if (!piece.text.empty()) parsed.pieces_.push_back(std::move(piece));
  return parsed;
}

std::string UserPattern::name(uint64_t number) const {
  std::string name;
  for (const Piece& piece : pieces_) {
    name += piece.text;
    if (piece.width >= 0) name += fmt::format("{:0{}}", number, piece.width);
  }
  return name;
}

Result<std::string> maildir_path(std::string_view pattern, std::string_view user) {
  size_t at = user.find('@');
  std::string_view local = user.substr(0, at);
  std::string_view domain = at == std::string_view::npos ? "" : user.substr(at + 1);
  bool leads_out = user.empty() || user.find('/') != std::string_view::npos ||
                   user.find('\0') != std::string_view::npos;
  for (std::string_view part : {user, local, domain}) {
    leads_out = leads_out || part == "." || part == "..";
  }
  if (leads_out) return fail(ErrorKind::kInvalid, "user name unfit for a path");
  std::string path;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      path += pattern[i];
      continue;
    }
    char letter = ++i < pattern.size() ? pattern[i] : '\0';
    if (letter == 'u') {
      path += user;
    } else if (letter == 'n') {
      path += local;
    } else if (letter == 'd') {
      path += domain;
    } else if (letter == '%') {
      path += '%';
    } else {
      return fail(ErrorKind::kInvalid,
                  fmt::format("maildir '{}': only %u, %n, %d and %% are known", pattern));
    }
  }
  return path;
}

}  // namespace dormouse::loadtest
