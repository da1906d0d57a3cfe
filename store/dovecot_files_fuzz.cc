// Control files that another program wrote: whatever they hold, what comes out keeps its promises.

#include <cstdlib>

#include "store/dovecot_files.h"
#include "store/maildir_name.h"
#include "store/marker.h"

namespace store = dormouse::store;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto list = store::parse_uidlist(text)) {
    expect(list->uid_validity != 0 && list->uid_next != 0);
    uint32_t last = 0;
    for (const store::UidlistRecord& record : list->records) {
      expect(record.uid > last && record.uid < list->uid_next);
      expect(!record.base.empty() && record.base.find('/') == std::string_view::npos);
      last = record.uid;
    }
  }
  auto keywords = store::parse_keywords(text);
  expect(keywords.size() <= store::kLetterKeywords);
  for (const std::string& name : keywords) expect(name.empty() || store::is_valid_keyword(name));
  expect(store::parse_keywords(store::format_keywords(keywords)) == keywords);

  auto subscriptions = store::parse_subscriptions(text);
  for (const std::string& name : subscriptions) {
    auto canonical = store::canonical_mailbox_name(name);
    expect(canonical && *canonical == name);
  }
  expect(store::parse_subscriptions(store::format_subscriptions(subscriptions)) == subscriptions);
  if (auto marker = store::parse_marker(text)) {
    auto again = store::parse_marker(store::format_marker(*marker));
    expect(again && again->guid == marker->guid && again->uid_validity == marker->uid_validity);
  }
  return 0;
}
