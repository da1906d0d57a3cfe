#include "imap/syntax/structure_writer.h"

#include <string_view>

#include "imap/syntax/writer.h"

namespace dormouse::imap {
namespace {

void put_or_nil(std::string& out, const std::string& text) {
  if (text.empty()) {
    out += "NIL";
  } else {
    put_string(out, text);
  }
}

// address and the group markers of RFC 3501 7.4.2: a start is (NIL NIL "name" NIL), an end all NIL.
void put_address(std::string& out, const mime::Address& address) {
  out.push_back('(');
  if (address.kind == mime::Address::Kind::kMailbox) {
    put_or_nil(out, address.name);
    out.push_back(' ');
    put_or_nil(out, address.route);
    out.push_back(' ');
    // NIL in either of the last two would read as a group marker.
    put_string(out, address.mailbox.empty() ? "MISSING_MAILBOX" : address.mailbox);
    out.push_back(' ');
    put_string(out, address.host.empty() ? "MISSING_DOMAIN" : address.host);
  } else if (address.kind == mime::Address::Kind::kGroupStart) {
    out += "NIL NIL ";
    put_string(out, address.mailbox);
    out += " NIL";
  } else {
    out += "NIL NIL NIL NIL";
  }
  out.push_back(')');
}

void put_addresses(std::string& out, const mime::AddressList& addresses) {
  if (addresses.empty()) {
    out += "NIL";
    return;
  }
  out.push_back('(');
  for (const mime::Address& address : addresses) put_address(out, address);
  out.push_back(')');
}

void put_parameters(std::string& out, const std::vector<mime::Parameter>& parameters) {
  if (parameters.empty()) {
    out += "NIL";
    return;
  }
  out.push_back('(');
  bool first = true;
  for (const mime::Parameter& parameter : parameters) {
    if (!first) out.push_back(' ');
    first = false;
    put_string(out, parameter.name);
    out.push_back(' ');
    put_string(out, parameter.value);
  }
  out.push_back(')');
}

// body-fld-dsp, body-fld-lang, body-fld-loc, which end every extended body.
void put_extension_tail(std::string& out, const mime::Part& part) {
  if (part.disposition) {
    out += " (";
    put_string(out, *part.disposition);
    out.push_back(' ');
    put_parameters(out, part.disposition_parameters);
    out.push_back(')');
  } else {
    out += " NIL";
  }
  out.push_back(' ');
  if (part.languages.empty()) {
    out += "NIL";
  } else if (part.languages.size() == 1) {
    put_string(out, part.languages[0]);
  } else {
    out.push_back('(');
    for (std::size_t i = 0; i < part.languages.size(); ++i) {
      if (i > 0) out.push_back(' ');
      put_string(out, part.languages[i]);
    }
    out.push_back(')');
  }
  out.push_back(' ');
  put_nstring(out, part.location);
}

class BodyWriter {
 public:
  BodyWriter(std::string& out, const mime::MessageStructure& structure, bool extended)
      : out_(out), structure_(structure), extended_(extended) {}

  // Recursion is bounded by mime::kDepthMax, which parser and decoder keep.
  void put(std::size_t index) {
    const mime::Part& part = structure_.parts[index];
    out_.push_back('(');
    if (part.kind == mime::PartKind::kMultipart) {
      put_multipart(part, index);
    } else {
      put_single(part, index);
    }
    out_.push_back(')');
  }

 private:
  void put_multipart(const mime::Part& part, std::size_t index) {
    const std::size_t end = index + part.subtree;
    for (std::size_t child = index + 1; child < end; child += structure_.parts[child].subtree) {
      put(child);
    }
    out_.push_back(' ');
    put_string(out_, part.subtype);
    if (!extended_) return;
    out_.push_back(' ');
    put_parameters(out_, part.parameters);
    put_extension_tail(out_, part);
  }

  void put_single(const mime::Part& part, std::size_t index) {
    put_string(out_, part.type);
    out_.push_back(' ');
    put_string(out_, part.subtype);
    out_.push_back(' ');
    put_parameters(out_, part.parameters);
    out_.push_back(' ');
    put_nstring(out_, part.id);
    out_.push_back(' ');
    put_nstring(out_, part.description);
    out_.push_back(' ');
    put_string(out_, part.encoding);
    out_.push_back(' ');
    put_number(out_, part.body.octets());
    if (part.kind == mime::PartKind::kMessage) {
      out_.push_back(' ');
      put_envelope(out_, structure_.envelope_of(part));
      out_.push_back(' ');
      put(index + 1);
    }
    if (part.kind == mime::PartKind::kMessage || part.kind == mime::PartKind::kText) {
      out_.push_back(' ');
      put_number(out_, part.body.lines);
    }
    if (!extended_) return;
    out_.push_back(' ');
    put_nstring(out_, part.md5);
    put_extension_tail(out_, part);
  }

  std::string& out_;
  const mime::MessageStructure& structure_;
  bool extended_;
};

}  // namespace

void put_envelope(std::string& out, const mime::Envelope& envelope) {
  out.push_back('(');
  put_nstring(out, envelope.date);
  out.push_back(' ');
  put_nstring(out, envelope.subject);
  out.push_back(' ');
  put_addresses(out, envelope.from);
  out.push_back(' ');
  put_addresses(out, envelope.sender.empty() ? envelope.from : envelope.sender);
  out.push_back(' ');
  put_addresses(out, envelope.reply_to.empty() ? envelope.from : envelope.reply_to);
  out.push_back(' ');
  put_addresses(out, envelope.to);
  out.push_back(' ');
  put_addresses(out, envelope.cc);
  out.push_back(' ');
  put_addresses(out, envelope.bcc);
  out.push_back(' ');
  put_nstring(out, envelope.in_reply_to);
  out.push_back(' ');
  put_nstring(out, envelope.message_id);
  out.push_back(')');
}

void put_body_structure(std::string& out, const mime::MessageStructure& structure, bool extended) {
  BodyWriter(out, structure, extended).put(0);
}

}  // namespace dormouse::imap
