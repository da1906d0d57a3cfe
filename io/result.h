#pragma once
// How every operation that can fail answers: Result<T>, an std::expected with our Error in it.
// No exception crosses an interface of ours. Our own bug is not an Error: use DORMOUSE_CHECK.

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace dormouse {

enum class ErrorKind {
  kInvalid,      // the input broke its grammar or a bound; the text says what and where
  kNotFound,     // the thing named does not exist
  kExists,       // the thing named exists already
  kDenied,       // permission or credentials
  kLimit,        // a named bound of ours was reached
  kNoSpace,      // disk or quota full; what was there is kept
  kTimeout,      // with_timeout() ran out
  kCancelled,    // the scope was cancelled
  kClosed,       // the peer closed, end of file
  kUnavailable,  // may work later (a peer process is away)
  kUnsupported,  // this kernel or build cannot
  kSystem,       // any other errno
};

struct Error {
  ErrorKind kind = ErrorKind::kSystem;
  std::string message;  // for the log and the operator; never a secret, never mail content
  int errno_value = 0;  // 0 when it did not come from the kernel
};

// T or an Error. [[nodiscard]]: an ignored failure is a compile-time warning, hence an error.
template <class T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return std::unexpected<Error>(Error{kind, std::move(message), 0});
}

// The only place where errno becomes an Error. `what` names the operation and its object
// ("open /srv/mail/x"); the text of the errno is appended.
std::unexpected<Error> fail_errno(int errno_value, std::string_view what);

// Aborts with `what` and the place: for what only our own bug can cause.
[[noreturn]] void bug(const char* file, int line, const char* expression, std::string_view what);

}  // namespace dormouse

#define DORMOUSE_CHECK(expression, what) \
  (static_cast<bool>(expression) ? void(0) : ::dormouse::bug(__FILE__, __LINE__, #expression, what))
