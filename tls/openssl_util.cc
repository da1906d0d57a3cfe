#include "tls/openssl_util.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <array>

namespace dormouse::tls {

std::string take_openssl_error(std::string_view otherwise) {
  const unsigned long code = ERR_peek_error();  // the oldest: what went wrong first
  ERR_clear_error();
  if (code == 0) return std::string(otherwise);
  const char* reason = ERR_reason_error_string(code);
  if (reason != nullptr) return reason;
  return fmt::format("OpenSSL error {:#x}", code);
}

}  // namespace dormouse::tls
