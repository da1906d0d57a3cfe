#pragma once
// The protocol settings that server and client contexts share; for this room only.

#include <openssl/types.h>

#include <optional>

#include "io/result.h"
#include "tls/session_keys.h"

namespace dormouse::tls {

// Versions, suites (those of kSuites, or `only` one) and options of a context: nothing that our
// record layer could not carry on.
Result<> set_protocol(SSL_CTX* ctx, Version version_min, Version version_max,
                      std::optional<Suite> only);

}  // namespace dormouse::tls
