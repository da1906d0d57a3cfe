#pragma once
// What is known of a message once it was read through: envelope and part tree, as IMAP shows them
// (RFC 3501 7.4.2), and where every part lies. Made by MessageParser (parser.h), kept in the index
// as bytes (structure_codec.h), written to clients by imap/syntax/structure_writer.h.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "mime/section.h"

namespace dormouse::mime {

// One address of RFC 5322, in the four fields of an IMAP envelope. A group is an Address with
// kind kGroupStart (its name in `mailbox`), its members, and one with kGroupEnd.
struct Address {
  enum class Kind : std::uint8_t { kMailbox, kGroupStart, kGroupEnd };
  Kind kind = Kind::kMailbox;
  std::string name;     // display name, unquoted, RFC 2047 words left encoded; empty: NIL
  std::string route;    // obsolete source route "@a,@b"; empty: NIL
  std::string mailbox;  // local part, unquoted
  std::string host;     // domain; empty when the message gave none

  bool operator==(const Address&) const = default;
};
using AddressList = std::vector<Address>;

// Header fields as IMAP's ENVELOPE has them. nullopt: no such field. Text is unfolded and otherwise
// raw: RFC 2047 words and 8-bit bytes stay as they came.
struct Envelope {
  std::optional<std::string> date;
  std::optional<std::string> subject;
  AddressList from;
  AddressList sender;    // as written: ENVELOPE's default (From) is the writer's business
  AddressList reply_to;  // likewise
  AddressList to;
  AddressList cc;
  AddressList bcc;
  std::optional<std::string> in_reply_to;
  std::optional<std::string> message_id;
  std::optional<std::string> references;  // not in ENVELOPE; for threading and replies

  bool operator==(const Envelope&) const = default;
};

// attribute=value, RFC 2231 continuations joined. A value with a charset keeps it as RFC 2231 wrote
// it: name "filename*", value "utf-8''%e2%82%ac".
struct Parameter {
  std::string name;
  std::string value;

  bool operator==(const Parameter&) const = default;
};

enum class PartKind : std::uint8_t {
  kLeaf,       // neither of the following
  kText,       // text/*: BODYSTRUCTURE counts its lines
  kMessage,    // message/rfc822: exactly one child, the root part of the message inside
  kMultipart,  // at least one child
};

// One part. Parts stand in one vector in preorder (the order of the text), so the subtree of part i
// is [i, i + subtree) and its first child is i + 1.
struct Part {
  PartKind kind = PartKind::kText;
  std::uint32_t subtree = 1;  // parts in this subtree, itself included
  std::string type = "text";  // as written; "text" "plain" where the message does not say
  std::string subtype = "plain";
  std::vector<Parameter> parameters;  // charset=us-ascii where there is no Content-Type
  std::optional<std::string> id;
  std::optional<std::string> description;
  std::string encoding = "7bit";
  std::optional<std::string> md5;
  std::optional<std::string> disposition;
  std::vector<Parameter> disposition_parameters;
  std::vector<std::string> languages;
  std::optional<std::string> location;
  Range header;  // with the empty line; for a root part, the header of its message
  Range body;
  // Index into MessageStructure::envelopes for a kMessage part; 0 is the message's own.
  std::uint32_t envelope = 0;

  bool operator==(const Part&) const = default;
};

struct MessageStructure {
  Envelope envelope;
  std::vector<Part> parts;                // never empty; parts[0] is the root
  std::vector<Envelope> inner_envelopes;  // of message/rfc822 parts: Part::envelope - 1

  // The envelope of the message inside a kMessage part.
  const Envelope& envelope_of(const Part& part) const {
    return part.envelope == 0 ? envelope : inner_envelopes[part.envelope - 1];
  }
  // The whole message: header and body of the root, which touch.
  Range whole() const;

  bool operator==(const MessageStructure&) const = default;
};

// Where a section lies. Header field sections give the range of the whole header, from which
// HeaderFilter (header_filter.h) picks. kNotFound: no such part, or one without such a section
// ([1.HEADER] of something that is not a message): FETCH answers NIL for it.
Result<Range> find_section(const MessageStructure& structure, const Section& section);

// The part a number names, nullptr when there is none. `numbers` empty: the root part.
const Part* find_part(const MessageStructure& structure, const std::vector<std::uint32_t>& numbers);

// The value of a parameter (name compared without case), or nullptr.
const std::string* find_parameter(const std::vector<Parameter>& parameters, std::string_view name);

}  // namespace dormouse::mime
