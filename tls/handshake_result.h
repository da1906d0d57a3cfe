#pragma once
// What both sides' handshake drivers share: their states and what they leave behind.

#include <cstdint>
#include <string>

#include "tls/bytes.h"
#include "tls/session_keys.h"

namespace dormouse::tls {

// OpenSSL SSL objects alive in this process, over all contexts. A parked or awake session has none:
// only handshakes in progress do.
int64_t live_ssl_objects();

enum class HandshakeState : uint8_t {
  kNeedsMore,  // feed more input; send the output so far
  kDone,       // send the output, then take the result with finish()
  kFailed,     // send the output (an alert, or nothing), then close; failure() says why
};

struct HandshakeResult {
  SessionKeys keys;
  Bytes unread;       // ciphertext that came behind the handshake: give it to the engine first
  Bytes early_plain;  // client waiting for a ticket only: data already decrypted, before `unread`
  std::string server_name;  // SNI as asked for by the client; empty when none
  std::string suite_name;   // for the log: OpenSSL's name, "TLS_AES_128_GCM_SHA256"
  bool resumed = false;
};

}  // namespace dormouse::tls
