#pragma once
// ClientStream: the bytes of one client connection, in clear towards the worker and as they are on
// the wire towards the socket: TLS records or not, deflated (RFC 4978) or not. An engine: no I/O.
//
// What a client deflated comes out in pieces of kInflatedBytesMax: the rest stays deflated, one
// receive at the most, until take() is called again. So a bomb waits for whoever reads it.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compress/deflate_stream.h"
#include "compress/inflate_stream.h"
#include "io/result.h"
#include "tls/record.h"
#include "wire/relay.pb.h"

namespace dormouse::hibernate {

// What one take() inflates: a message to the worker.
inline constexpr size_t kInflatedBytesMax = 32 * 1024;

class ClientStream {
 public:
  // `keys`: tls::SessionKeys frozen; empty: no TLS. `history`: compress::InflateStream frozen;
  // empty: no COMPRESS. It is thawed when the client is heard, so that what only speaks does not
  // pay for it. Borrows `crypto`.
  static Result<ClientStream> create(tls::RecordCrypto& crypto, std::span<const std::byte> keys,
                                     std::span<const std::byte> history);
  // From here on both directions are deflated; bytes that were taken already came before.
  void start_compress();
  bool compressed() const { return compressed_; }

  enum class Input {
    kOpen,    // all of it was taken; what was complete, or a piece of it, is in `plain`
    kClosed,  // the client closed in order; `plain` may hold its last words
    kBroken,  // it broke the record protocol or deflate: send `reply`, then close
  };
  // Takes received bytes, appends what they say to `plain` and what the record layer must answer
  // to `reply` (wire bytes, to be sent before any later output).
  Input take(std::span<std::byte> received, std::string& plain, tls::Bytes& reply);
  // There is more to be had without receiving anything: take() of nothing gives at least a byte, or
  // another state.
  bool more() const { return more_; }
  // Appends `plain` as wire bytes. kClosed, kLimit: close the connection.
  Result<> put(std::string_view plain, tls::Bytes& wire);
  // Appends the orderly end (close_notify).
  void end(tls::Bytes& wire);

  // Why the session cannot park now: something incomplete is held. NONE: it can.
  wire::Hindrance::Kind hindrance() const;
  bool at_boundary() const { return hindrance() == wire::Hindrance::NONE; }
  // The keys as they now are; empty without TLS.
  tls::Bytes freeze() const;
  // The input history as it now is, at a boundary; empty without COMPRESS. kUnavailable: no memory.
  Result<std::vector<std::byte>> freeze_history() const;
  bool tls() const { return engine_ != nullptr; }
  size_t held_bytes() const;

 private:
  Input open(std::span<std::byte> received, std::string& clear, tls::Bytes& reply);
  Input inflate(std::string& plain, tls::Bytes& reply);

  std::unique_ptr<tls::RecordEngine> engine_;
  tls::Bytes partial_;  // the start of a record, at most tls::kRecordBytesMax
  Input opened_ = Input::kOpen;

  bool compressed_ = false;
  bool more_ = false;
  std::vector<std::byte> history_;  // frozen; until inflate_ is made of it
  std::optional<compress::InflateStream> inflate_;
  std::string deflated_;  // in clear, not inflated yet
  compress::DeflateStream deflate_;
};

}  // namespace dormouse::hibernate
