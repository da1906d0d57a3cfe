// The grammar (varint: LEB128, at most 10 bytes; string: varint length, bytes; nstring: 0, or
// varint length + 1, bytes):
//
//   structure  = version envelope envelopes parts
//   version    = byte                                  ; kStructureVersion
//   envelope   = date subject from sender reply-to to cc bcc in-reply-to message-id references
//                                                      ; nstring, or addresses
//   addresses  = varint *address                       ; how many
//   address    = kind name route mailbox host          ; byte, string, string, string, string
//   envelopes  = varint *envelope                      ; one for each message/rfc822 part, in order
//   parts      = varint *part                          ; preorder
//   part       = kind subtree type subtype parameters id description encoding md5 disposition
//                parameters languages location header body
//                                                      ; byte, varint, string, string, ...
//   parameters = varint *(string string)
//   languages  = varint *string
//   header     = offset bytes bare-lfs lines           ; varints; offset from the start of the file
//   body       = bytes bare-lfs lines                  ; begins where the header ends

#include "mime/structure_codec.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "mime/limits.h"

namespace dormouse::mime {
namespace {

// limits.h derives 1 MiB for what encode_structure() writes; twice that is certainly not ours.
constexpr std::size_t kEncodedBytesMax = std::size_t{2} * 1024 * 1024;
// No file is longer; keeps sums of offsets from overflowing.
constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << 60;

class Writer {
 public:
  void byte(unsigned value) { out_.push_back(static_cast<char>(value)); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) byte(static_cast<unsigned>(value & 0x7f) | 0x80);
    byte(static_cast<unsigned>(value));
  }
  void string(std::string_view text) {
    varint(text.size());
    out_ += text;
  }
  void nstring(const std::optional<std::string>& text) {
    varint(text ? text->size() + 1 : 0);
    if (text) out_ += *text;
  }
  void addresses(const AddressList& list) {
    varint(list.size());
    for (const Address& address : list) {
      byte(static_cast<unsigned>(address.kind));
      string(address.name);
      string(address.route);
      string(address.mailbox);
      string(address.host);
    }
  }
  void envelope(const Envelope& e) {
    nstring(e.date);
    nstring(e.subject);
    for (const AddressList* list : {&e.from, &e.sender, &e.reply_to, &e.to, &e.cc, &e.bcc}) {
      addresses(*list);
    }
    nstring(e.in_reply_to);
    nstring(e.message_id);
    nstring(e.references);
  }
  void parameters(const std::vector<Parameter>& list) {
    varint(list.size());
    for (const Parameter& parameter : list) {
      string(parameter.name);
      string(parameter.value);
    }
  }
  void part(const Part& p) {
    byte(static_cast<unsigned>(p.kind));
    varint(p.subtree);
    string(p.type);
    string(p.subtype);
    parameters(p.parameters);
    nstring(p.id);
    nstring(p.description);
    string(p.encoding);
    nstring(p.md5);
    nstring(p.disposition);
    parameters(p.disposition_parameters);
    varint(p.languages.size());
    for (const std::string& language : p.languages) string(language);
    nstring(p.location);
    varint(p.header.offset);
    for (const Range* range : {&p.header, &p.body}) {
      varint(range->bytes);
      varint(range->bare_lfs);
      varint(range->lines);
    }
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads what Writer wrote. Once something does not fit, failed() stays true and all that follows
// reads as zero or empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }
  void fail_now() {
    failed_ = true;
    rest_ = {};
  }

  unsigned byte() {
    if (rest_.empty()) return fail_now(), 0;
    auto value = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t next = byte();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return value;
    }
    return fail_now(), 0;
  }
  // A count of things that take at least `bytes_each`: never more than can follow.
  std::size_t count(std::size_t max, std::size_t bytes_each) {
    const std::uint64_t value = varint();
    if (value > max || value > rest_.size() / bytes_each) return fail_now(), 0;
    return static_cast<std::size_t>(value);
  }
  std::string take(std::uint64_t length) {
    if (length > rest_.size()) return fail_now(), "";
    std::string text(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return text;
  }
  std::string string() { return take(varint()); }
  std::optional<std::string> nstring() {
    const std::uint64_t length = varint();
    if (length == 0) return std::nullopt;
    return take(length - 1);
  }
  AddressList addresses() {
    AddressList list(count(kAddressesMax, 5));
    for (Address& address : list) {
      const unsigned kind = byte();
      if (kind > static_cast<unsigned>(Address::Kind::kGroupEnd)) fail_now();
      address.kind = static_cast<Address::Kind>(failed_ ? 0 : kind);
      address.name = string();
      address.route = string();
      address.mailbox = string();
      address.host = string();
    }
    return list;
  }
  Envelope envelope() {
    Envelope e;
    e.date = nstring();
    e.subject = nstring();
    for (AddressList* list : {&e.from, &e.sender, &e.reply_to, &e.to, &e.cc, &e.bcc}) {
      *list = addresses();
    }
    e.in_reply_to = nstring();
    e.message_id = nstring();
    e.references = nstring();
    return e;
  }
  std::vector<Parameter> parameters() {
    std::vector<Parameter> list(count(kParametersMax, 2));
    for (Parameter& parameter : list) {
      parameter.name = string();
      parameter.value = string();
    }
    return list;
  }
  void range(Range& range) {
    range.bytes = varint();
    range.bare_lfs = varint();
    range.lines = varint();
    if (range.offset > kOffsetMax || range.bytes > kOffsetMax || range.lines > range.bytes ||
        range.bare_lfs > range.lines) {
      fail_now();
    }
  }
  Part part() {
    Part p;
    const unsigned kind = byte();
    if (kind > static_cast<unsigned>(PartKind::kMultipart)) fail_now();
    p.kind = static_cast<PartKind>(failed_ ? 0 : kind);
    p.subtree = static_cast<std::uint32_t>(std::min<std::uint64_t>(varint(), kPartsMax + 1));
    p.type = string();
    p.subtype = string();
    p.parameters = parameters();
    p.id = nstring();
    p.description = nstring();
    p.encoding = string();
    p.md5 = nstring();
    p.disposition = nstring();
    p.disposition_parameters = parameters();
    p.languages.resize(count(kParametersMax, 1));
    for (std::string& language : p.languages) language = string();
    p.location = nstring();
    p.header.offset = varint();
    range(p.header);
    p.body.offset = p.header.end();
    range(p.body);
    return p;
  }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

// Whether the parts form one tree whose ranges lie inside one another.
bool is_tree(const std::vector<Part>& parts) {
  struct Parent {
    std::size_t end;  // behind its last part
    std::uint64_t from;
    std::uint64_t to;  // of its body
  };
  std::vector<Parent> parents;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& p = parts[i];
    while (!parents.empty() && parents.back().end <= i) parents.pop_back();
    if (i > 0 && parents.empty()) return false;
    const std::size_t end = i + p.subtree;
    if (p.subtree == 0 || end > (i == 0 ? parts.size() : parents.back().end)) return false;
    if (i == 0 && end != parts.size()) return false;
    if (i > 0 && (p.header.offset < parents.back().from || p.body.end() > parents.back().to)) {
      return false;
    }
    const bool inner = p.kind == PartKind::kMultipart || p.kind == PartKind::kMessage;
    if (inner != (p.subtree > 1)) return false;
    if (p.kind == PartKind::kMessage && parts[i + 1].subtree != p.subtree - 1) return false;
    if (!inner) continue;
    if (parents.size() + 1 >= kDepthMax) return false;
    parents.push_back({end, p.body.offset, p.body.end()});
  }
  return true;
}

}  // namespace

std::string encode_structure(const MessageStructure& structure) {
  Writer writer;
  writer.byte(kStructureVersion);
  writer.envelope(structure.envelope);
  writer.varint(structure.inner_envelopes.size());
  for (const Envelope& envelope : structure.inner_envelopes) writer.envelope(envelope);
  writer.varint(structure.parts.size());
  for (const Part& part : structure.parts) writer.part(part);
  return writer.take();
}

Result<Envelope> decode_envelope(std::string_view bytes) {
  Reader reader(bytes.substr(0, kEncodedBytesMax));
  if (reader.byte() != kStructureVersion) {
    return fail(ErrorKind::kInvalid, "cached structure: another version");
  }
  Envelope envelope = reader.envelope();
  if (reader.failed()) return fail(ErrorKind::kInvalid, "cached structure: broken envelope");
  return envelope;
}

Result<MessageStructure> decode_structure(std::string_view bytes) {
  if (bytes.size() > kEncodedBytesMax) {
    return fail(ErrorKind::kInvalid, "cached structure: too long");
  }
  Reader reader(bytes);
  if (reader.byte() != kStructureVersion) {
    return fail(ErrorKind::kInvalid, "cached structure: another version");
  }
  MessageStructure structure;
  structure.envelope = reader.envelope();
  // An envelope has 11 fields of a byte at least, a part 18.
  structure.inner_envelopes.resize(reader.count(kPartsMax, 11));
  for (Envelope& envelope : structure.inner_envelopes) envelope = reader.envelope();
  structure.parts.resize(reader.count(kPartsMax, 18));
  std::uint32_t messages = 0;
  for (Part& part : structure.parts) {
    part = reader.part();
    if (part.kind == PartKind::kMessage) part.envelope = ++messages;
  }
  if (reader.failed() || !reader.at_end()) {
    return fail(ErrorKind::kInvalid, "cached structure: broken");
  }
  if (structure.parts.empty() || messages != structure.inner_envelopes.size() ||
      !is_tree(structure.parts)) {
    return fail(ErrorKind::kInvalid, "cached structure: not one tree of parts");
  }
  return structure;
}

}  // namespace dormouse::mime
