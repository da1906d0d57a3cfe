#pragma once
// What FETCH and SEARCH need of a message beyond its index row: its structure, from the index where
// it was kept, else read once through the ring and kept; and its bytes.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "imap/message_reader.h"
#include "imap/session.h"
#include "mime/message.h"

namespace dormouse::imap {

// Structures found out during one batch, written to the index in one transaction.
class Findings {
 public:
  explicit Findings(store::Mailbox mailbox) : mailbox_(mailbox) {}
  void add(uint32_t uid, uint64_t octets, std::string blob);
  // A failure costs only that the message is read again.
  void keep();

 private:
  struct Item {
    uint32_t uid = 0;
    uint64_t octets = 0;
    std::string blob;
  };
  store::Mailbox mailbox_;
  std::vector<Item> items_;
};

class MessageSource {
 public:
  // `blob`: what the index has cached, if asked for.
  MessageSource(io::Loop& loop, store::Mailbox mailbox, const store::Message& row,
                std::optional<std::string> blob, Findings& findings);

  const store::Message& row() const { return row_; }
  MessageReader& reader() { return reader_; }
  // kNotFound: the message is gone.
  io::Task<Result<void>> need_structure();
  const mime::MessageStructure& structure() const { return *structure_; }
  // RFC822.SIZE; after need_size().
  io::Task<Result<void>> need_size();
  uint64_t octets() const { return row_.rfc822_size_bytes; }
  // The whole message; after need_size().
  mime::Range whole() const;

 private:
  store::Message row_;
  std::optional<std::string> blob_;
  std::optional<mime::MessageStructure> structure_;
  MessageReader reader_;
  Findings& findings_;
};

}  // namespace dormouse::imap
