#include "io/result.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace dormouse {
namespace {

ErrorKind kind_of(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
      return ErrorKind::kNotFound;
    case EEXIST:
      return ErrorKind::kExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::kDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorKind::kNoSpace;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
      return ErrorKind::kLimit;
    case ETIME:
    case ETIMEDOUT:
      return ErrorKind::kTimeout;
    case ECANCELED:
      return ErrorKind::kCancelled;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
      return ErrorKind::kClosed;
    case EAGAIN:
    case ECONNREFUSED:
      return ErrorKind::kUnavailable;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorKind::kUnsupported;
    case ENAMETOOLONG:
      return ErrorKind::kInvalid;
    default:
      return ErrorKind::kSystem;
  }
}

}  // namespace

std::unexpected<Error> fail_errno(int errno_value, std::string_view what) {
  return std::unexpected<Error>(Error{
      kind_of(errno_value),
      fmt::format("{}: {}", what, std::generic_category().message(errno_value)), errno_value});
}

void bug(const char* file, int line, const char* expression, std::string_view what) {
  fmt::print(stderr, "{}:{}: bug: expected {}: {}\n", file, line, expression, what);
  std::fflush(stderr);
  std::abort();
}

}  // namespace dormouse
