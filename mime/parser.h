#pragma once
// MessageParser reads a message once, in pieces of any size, and records its structure (message.h).
// It keeps header fields of interest and offsets, never bodies: a 20 MB attachment costs nothing.
//
// It takes anything as a message: no header, no body, boundaries missing or never closed, NULs,
// 8-bit bytes, LF or CRLF or a mix. What is broken is shown as the text it is (docs/mime.md says
// how in each case), and the bounds of limits.h hold.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "mime/limits.h"
#include "mime/message.h"

namespace dormouse::mime {

class MessageParser {
 public:
  MessageParser();
  ~MessageParser();
  MessageParser(const MessageParser&) = delete;
  MessageParser& operator=(const MessageParser&) = delete;

  void feed(std::string_view bytes);
  // The end of the message. The parser is spent afterwards.
  MessageStructure finish();

 private:
  class State;
  std::unique_ptr<State> state_;
};

// For a message that is mapped or in memory.
MessageStructure parse_message(std::string_view message);

}  // namespace dormouse::mime
