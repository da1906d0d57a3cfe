#include "imap/commands/sort_keys.h"

#include <algorithm>

#include "imap/commands/base_subject.h"
#include "imap/try.h"
#include "mime/address.h"
#include "mime/charset.h"
#include "mime/text_search.h"

namespace dormouse::imap {
namespace {

bool is_number(SortKey key) {
  return key == SortKey::kArrival || key == SortKey::kDate || key == SortKey::kSize;
}

std::string text_value(std::string_view utf8) {
  std::string text = mime::casemapped(utf8);
  if (text.size() > kSortTextBytesMax) text.resize(kSortTextBytesMax);
  text.shrink_to_fit();
  return text;
}

// addr-mailbox of the first address.
std::string mailbox_value(const mime::AddressList& addresses) {
  return addresses.empty() ? std::string() : text_value(addresses.front().mailbox);
}

// RFC 5957 3. A group's name stands in its addr-mailbox, its addr-host is NIL.
std::string display_value(const mime::AddressList& addresses) {
  if (addresses.empty()) return {};
  const mime::Address& first = addresses.front();
  bool group = first.kind != mime::Address::Kind::kMailbox;
  std::string name = group ? std::string() : mime::decode_header(first.name);
  if (!name.empty()) return text_value(name);
  if (group || first.host.empty()) return text_value(first.mailbox);
  return text_value(first.mailbox + "@" + first.host);
}

// RFC 5256 2.2.
int64_t sent_date(const mime::Envelope* envelope, const store::Message& row) {
  if (envelope == nullptr || !envelope->date) return row.internal_date_s;
  auto date = mime::parse_mail_date(*envelope->date);
  return date ? date->unix_seconds : row.internal_date_s;
}

std::string text_of(SortKey key, const mime::Envelope* envelope) {
  if (envelope == nullptr) return {};
  switch (key) {
    case SortKey::kCc:
      return mailbox_value(envelope->cc);
    case SortKey::kFrom:
      return mailbox_value(envelope->from);
    case SortKey::kTo:
      return mailbox_value(envelope->to);
    case SortKey::kDisplayFrom:
      return display_value(envelope->from);
    case SortKey::kDisplayTo:
      return display_value(envelope->to);
    default:
      return envelope->subject ? text_value(base_subject(*envelope->subject)) : std::string();
  }
}

}  // namespace

size_t SortValues::bytes() const {
  size_t bytes = sizeof(*this) + numbers.capacity() * sizeof(int64_t);
  for (const std::string& text : texts) bytes += sizeof(text) + text.capacity();
  return bytes;
}

bool SortOrder::needs_structure() const {
  return std::ranges::any_of(criteria_, [](const SortCriterion& criterion) {
    return criterion.key != SortKey::kArrival && criterion.key != SortKey::kSize;
  });
}

bool SortOrder::needs_size() const {
  return std::ranges::any_of(
      criteria_, [](const SortCriterion& criterion) { return criterion.key == SortKey::kSize; });
}

SortValues SortOrder::values_of(const MessageSource& source, bool readable) const {
  const store::Message& row = source.row();
  const mime::Envelope* envelope =
      readable && needs_structure() ? &source.structure().envelope : nullptr;
  SortValues values;
  values.uid = row.uid;
  for (const SortCriterion& criterion : criteria_) {
    if (!is_number(criterion.key)) {
      values.texts.push_back(text_of(criterion.key, envelope));
    } else if (criterion.key == SortKey::kArrival) {
      values.numbers.push_back(row.internal_date_s);
    } else if (criterion.key == SortKey::kDate) {
      values.numbers.push_back(sent_date(envelope, row));
    } else {
      values.numbers.push_back(readable ? int64_t(source.octets()) : 0);
    }
  }
  return values;
}

bool SortOrder::before(const SortValues& a, const SortValues& b) const {
  size_t number = 0;
  size_t text = 0;
  for (const SortCriterion& criterion : criteria_) {
    std::strong_ordering order = std::strong_ordering::equal;
    if (is_number(criterion.key)) {
      order = a.numbers[number] <=> b.numbers[number];
      ++number;
    } else {
      order = a.texts[text].compare(b.texts[text]) <=> 0;
      ++text;
    }
    if (order != 0) return criterion.reverse ? order > 0 : order < 0;
  }
  return a.uid < b.uid;
}

io::Task<Result<std::vector<SortValues>>> sort_values(io::Loop* loop, store::Mailbox mailbox,
                                                      const SortOrder* order,
                                                      std::vector<uint32_t> uids) {
  auto rows = mailbox.messages(std::span<const uint32_t>(uids));
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<std::pair<uint32_t, std::string>> blobs;
  if (order->needs_structure()) {
    auto cached = mailbox.cached(std::span<const uint32_t>(uids));
    if (cached) blobs = std::move(*cached);
  }
  Findings findings(mailbox);
  std::vector<SortValues> values;
  auto blob = blobs.begin();
  for (const store::Message& row : *rows) {
    while (blob != blobs.end() && blob->first < row.uid) ++blob;
    std::optional<std::string> kept;
    if (blob != blobs.end() && blob->first == row.uid) kept = std::move(blob->second);
    MessageSource source(*loop, mailbox, row, std::move(kept), findings);
    Result<void> got;
    if (order->needs_structure()) {
      got = co_await source.need_structure();
    } else if (order->needs_size()) {
      got = co_await source.need_size();
    }
    if (!got && got.error().kind == ErrorKind::kCancelled) co_return std::unexpected(got.error());
    values.push_back(order->values_of(source, got.has_value()));
  }
  findings.keep();
  co_return values;
}

}  // namespace dormouse::imap
