#pragma once
// Transport: a stranger's socket, in the clear or under TLS. OpenSSL lives in it for the handshake
// only; after it, records are ours (tls/record.h), so the keys can be handed over.
//
// Bytes are received into one buffer that all connections share, and copied out at their size: a
// connection that waits holds nothing but what it has half received.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "io/fd.h"
#include "io/loop.h"
#include "io/result.h"
#include "login/limits.h"
#include "tls/handshake.h"
#include "tls/record.h"
#include "tls/record_crypto.h"
#include "tls/server_context.h"

namespace dormouse::login {

// Shared by all transports of a loop.
struct TransportShare {
  explicit TransportShare(tls::RecordCrypto record_crypto) : crypto(std::move(record_crypto)) {}
  tls::RecordCrypto crypto;
  // Of handshakes that begin now; null: there is no TLS. A handshake keeps what it needs of it, so
  // a reload may replace it at any time.
  std::unique_ptr<tls::ServerContext> context;
  std::array<std::byte, kReceiveBytes> buffer;
};

class Transport {
 public:
  // `share` is borrowed. The socket must not block.
  Transport(io::Loop& loop, TransportShare& share, io::Fd socket)
      : loop_(loop), share_(share), socket_(std::move(socket)) {}

  // Adds at least one byte to plain(). kClosed: the client has closed or broken TLS.
  io::Task<Result<void>> read();
  // What came and was not consumed. Ours to wipe and consume; valid until the next read().
  std::string_view plain() const { return plain_; }
  void consume(size_t bytes);

  io::Task<Result<void>> write(std::string_view text);
  // Last words, without waiting: what does not fit the socket now is not said. Closes TLS.
  void write_last(std::string_view text);

  // From the next byte on, TLS. Nothing may have been received already: plain() is empty. The last
  // flight goes out with the next write() or read().
  io::Task<Result<void>> start_tls();
  bool tls() const { return engine_.has_value(); }
  const std::string& suite() const { return suite_; }
  bool resumed() const { return resumed_; }

  // What another process needs to go on. Everything written must be out: flush(). kLimit: more is
  // pending than a message holds.
  struct Frozen {
    std::string tls;  // empty: no TLS
    std::string plain;
    std::string cipher;
  };
  io::Task<Result<void>> flush();
  Result<Frozen> freeze() const;
  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

 private:
  io::Task<Result<std::span<std::byte>>> receive();
  io::Task<Result<void>> send(tls::ByteView bytes);
  // Decrypts the next record, if it is there. True: plain() has grown.
  Result<bool> open_record();

  io::Loop& loop_;
  TransportShare& share_;
  io::Fd socket_;
  std::optional<tls::RecordEngine> engine_;
  std::string plain_;
  tls::Bytes cipher_;   // received, not decrypted
  tls::Bytes waiting_;  // to be sent before anything else
  std::string suite_;
  bool resumed_ = false;
};

}  // namespace dormouse::login
