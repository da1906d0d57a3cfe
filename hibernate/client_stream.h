#pragma once
// ClientStream: the bytes of one client connection, in clear towards the worker and as they are on
// the wire towards the socket: TLS records, or the same bytes without TLS. An engine: no I/O.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "tls/record.h"

namespace dormouse::hibernate {

class ClientStream {
 public:
  // `frozen`: tls::SessionKeys; empty: no TLS. Borrows `crypto`.
  static Result<ClientStream> create(tls::RecordCrypto& crypto, std::span<const std::byte> frozen);

  enum class Input {
    kOpen,    // all of it was taken; what was complete is in `plain`
    kClosed,  // the client closed in order; `plain` may hold its last words
    kBroken,  // it broke the record protocol: send `reply`, then close
  };
  // Takes received bytes, appends what they say to `plain` and what the record layer must answer
  // to `reply` (wire bytes, to be sent before any later output).
  Input take(std::span<std::byte> received, std::string& plain, tls::Bytes& reply);
  // Appends `plain` as wire bytes. kClosed, kLimit: close the connection.
  Result<> put(std::string_view plain, tls::Bytes& wire);
  // Appends the orderly end (close_notify).
  void end(tls::Bytes& wire);

  // No part of a record is held: the session can park.
  bool at_boundary() const { return partial_.empty(); }
  // The keys as they now are; empty without TLS.
  tls::Bytes freeze() const;
  bool tls() const { return engine_ != nullptr; }
  size_t held_bytes() const { return partial_.size(); }

 private:
  std::unique_ptr<tls::RecordEngine> engine_;
  tls::Bytes partial_;  // the start of a record, at most tls::kRecordBytesMax
};

}  // namespace dormouse::hibernate
