#include "mime/header_collector.h"

#include <utility>

#include "mime/address.h"
#include "mime/ascii.h"
#include "mime/content_fields.h"
#include "mime/limits.h"

namespace dormouse::mime {
namespace {

// What one kept string costs besides its bytes in the encoded form: lengths and kind.
constexpr std::size_t kStringOverheadBytes = 4;

std::size_t size_of(const std::vector<Parameter>& parameters) {
  std::size_t bytes = 0;
  for (const Parameter& parameter : parameters) {
    bytes += parameter.name.size() + parameter.value.size() + 2 * kStringOverheadBytes;
  }
  return bytes;
}

}  // namespace

struct HeaderCollector::Name {
  std::string_view name;
  Field field;
};

const HeaderCollector::Name HeaderCollector::kNames[] = {
    {"Date", Field::kDate},
    {"Subject", Field::kSubject},
    {"From", Field::kFrom},
    {"Sender", Field::kSender},
    {"Reply-To", Field::kReplyTo},
    {"To", Field::kTo},
    {"Cc", Field::kCc},
    {"Bcc", Field::kBcc},
    {"In-Reply-To", Field::kInReplyTo},
    {"Message-ID", Field::kMessageId},
    {"References", Field::kReferences},
    {"Content-Type", Field::kContentType},
    {"Content-Transfer-Encoding", Field::kContentEncoding},
    {"Content-Disposition", Field::kContentDisposition},
    {"Content-ID", Field::kContentId},
    {"Content-Description", Field::kContentDescription},
    {"Content-MD5", Field::kContentMd5},
    {"Content-Language", Field::kContentLanguage},
    {"Content-Location", Field::kContentLocation},
};

HeaderCollector::Field HeaderCollector::field_of(std::string_view name) {
  for (const Name& known : kNames) {
    if (same_name(known.name, name)) return known.field;
  }
  return Field::kNone;
}

bool HeaderCollector::charge(std::size_t bytes) {
  bytes += kStringOverheadBytes;
  if (bytes > kKeptBytesMax - kept_bytes_) return false;
  kept_bytes_ += bytes;
  return true;
}

void HeaderCollector::line(std::string_view line) {
  if (is_blank(line.front())) {
    if (field_ != Field::kNone && value_.size() < kFieldBytesMax) {
      value_ += line.substr(0, kFieldBytesMax - value_.size());
    }
    return;
  }
  flush();
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;  // no field: passed over
  field_ = field_of(trimmed(line.substr(0, colon)));
  if (field_ != Field::kNone) value_ = line.substr(colon + 1);
}

void HeaderCollector::put_addresses(AddressList& list, std::string_view value) {
  for (Address& address : parse_addresses(value)) {
    const std::size_t bytes = address.name.size() + address.route.size() + address.mailbox.size() +
                              address.host.size() + 4 * kStringOverheadBytes;
    if (list.size() == kAddressesMax || !charge(bytes)) return;
    list.push_back(std::move(address));
  }
}

void HeaderCollector::flush() {
  const Field field = std::exchange(field_, Field::kNone);
  if (field == Field::kNone) return;
  std::string_view value = trimmed(value_);
  switch (field) {  // those that may come more than once
    case Field::kFrom:
      return put_addresses(envelope_.from, value);
    case Field::kSender:
      return put_addresses(envelope_.sender, value);
    case Field::kReplyTo:
      return put_addresses(envelope_.reply_to, value);
    case Field::kTo:
      return put_addresses(envelope_.to, value);
    case Field::kCc:
      return put_addresses(envelope_.cc, value);
    case Field::kBcc:
      return put_addresses(envelope_.bcc, value);
    default:
      break;
  }
  const unsigned bit = 1U << static_cast<unsigned>(field);
  if ((seen_ & bit) != 0) return;
  seen_ |= bit;
  auto keep = [&](std::optional<std::string>& to) {
    if (charge(value.size())) to = value;
  };
  switch (field) {
    case Field::kDate:
      return keep(envelope_.date);
    case Field::kSubject:
      return keep(envelope_.subject);
    case Field::kInReplyTo:
      return keep(envelope_.in_reply_to);
    case Field::kMessageId:
      return keep(envelope_.message_id);
    case Field::kReferences:
      return keep(envelope_.references);
    case Field::kContentId:
      return keep(content_.id);
    case Field::kContentDescription:
      return keep(content_.description);
    case Field::kContentMd5:
      return keep(content_.md5);
    case Field::kContentLocation:
      return keep(content_.location);
    case Field::kContentType:
    case Field::kContentEncoding:
    case Field::kContentDisposition:
    case Field::kContentLanguage: {
      // Parsed text can be longer than its source (percent-encoding), hence three times.
      if (!charge(3 * value.size())) return;
      // Whoever reads on in put_content() takes field_ from here.
      field_ = field;
      put_content(value);
      field_ = Field::kNone;
      return;
    }
    default:
      return;
  }
}

void HeaderCollector::put_content(std::string_view value) {
  if (field_ == Field::kContentType) {
    parse_content_type(value, content_);
    if (!charge(size_of(content_.parameters))) content_.parameters.clear();
  } else if (field_ == Field::kContentEncoding) {
    content_.encoding = parse_encoding(value);
  } else if (field_ == Field::kContentDisposition) {
    parse_disposition(value, content_);
    if (!charge(size_of(content_.disposition_parameters))) content_.disposition_parameters.clear();
  } else {
    content_.languages = parse_languages(value);
  }
}

void HeaderCollector::finish(Part& part, bool digest, Envelope* envelope) {
  flush();
  if ((seen_ & 1U << static_cast<unsigned>(Field::kContentType)) == 0) {
    if (digest) {
      content_.type = "message";
      content_.subtype = "rfc822";
    } else {
      content_.parameters = {{"charset", "us-ascii"}};
    }
  }
  content_.kind = part.kind;
  content_.subtree = part.subtree;
  content_.header = part.header;
  content_.body = part.body;
  content_.envelope = part.envelope;
  part = std::move(content_);
  if (envelope != nullptr) *envelope = std::move(envelope_);
}

}  // namespace dormouse::mime
