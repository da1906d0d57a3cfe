#pragma once
// HeaderCollector takes the lines of one header and keeps the fields that a structure needs, joined
// over their continuation lines (RFC 5322 2.2.3). Private to mime/.

#include <cstddef>
#include <string>
#include <string_view>

#include "mime/message.h"

namespace dormouse::mime {

class HeaderCollector {
 public:
  // `kept_bytes` counts what the whole message has taken of kKeptBytesMax.
  explicit HeaderCollector(std::size_t& kept_bytes) : kept_bytes_(kept_bytes) {}

  // Begins a header. Content fields go to the part of finish(); the others to its envelope, if it
  // is the header of a message.
  void begin() {
    field_ = Field::kNone;
    value_.clear();
    seen_ = 0;
    content_ = Part{};
    envelope_ = Envelope{};
  }
  // One line without its line end, cut at kFieldBytesMax. Not the empty line.
  void line(std::string_view line);

  // The header has ended: moves the content fields to `part` (all but its ranges, kind and place in
  // the tree), the others to `envelope` unless that is nullptr. `digest`: the part stands in a
  // multipart/digest, whose parts are messages where they do not say otherwise (RFC 2046 5.1.5).
  void finish(Part& part, bool digest, Envelope* envelope);

 private:
  enum class Field : unsigned char {
    kNone,
    kDate,
    kSubject,
    kFrom,
    kSender,
    kReplyTo,
    kTo,
    kCc,
    kBcc,
    kInReplyTo,
    kMessageId,
    kReferences,
    kContentType,
    kContentEncoding,
    kContentDisposition,
    kContentId,
    kContentDescription,
    kContentMd5,
    kContentLanguage,
    kContentLocation,
  };
  struct Name;
  static const Name kNames[];

  static Field field_of(std::string_view name);
  void flush();
  void put_addresses(AddressList& list, std::string_view value);
  void put_content(std::string_view value);
  // Whether `bytes` more may be kept; takes them if so.
  bool charge(std::size_t bytes);

  std::size_t& kept_bytes_;
  Field field_ = Field::kNone;
  unsigned seen_ = 0;  // bit per Field: of those that may come once, the first counts
  std::string value_;
  Part content_;
  Envelope envelope_;
};

}  // namespace dormouse::mime
