#pragma once
// Self-signed certificates for a first start and for tests. Not for production: nobody can verify
// them.

#include <cstdint>
#include <string>
#include <vector>

#include "io/result.h"
#include "tls/server_context.h"

namespace dormouse::tls {

enum class KeyKind : uint8_t { kEcdsaP256, kRsa2048 };

struct SelfSignedSettings {
  std::vector<std::string> names = {"localhost"};  // the first is the CN; all are SANs (DNS or IP)
  KeyKind key_kind = KeyKind::kEcdsaP256;
  unsigned valid_days = 365;
};

// Makes key and certificate in memory.
Result<Certificate> make_self_signed(const SelfSignedSettings& settings);
// Makes them and writes both files, each with mode 0600. kExists when one is there already: nothing
// is ever overwritten.
Result<> write_self_signed(const SelfSignedSettings& settings, const std::string& chain_path,
                           const std::string& key_path);

}  // namespace dormouse::tls
