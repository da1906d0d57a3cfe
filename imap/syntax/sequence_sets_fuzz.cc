// A sequence-set: what parses must resolve, and come back from its own text.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "imap/syntax/uid_set.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dormouse::imap;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto sequence = SequenceSet::parse(text);
  if (!sequence) return 0;
  UidSet set = sequence->resolve(77);
  if (set.empty()) return 0;
  auto again = UidSet::parse(set.format());
  if (!again || *again != set) std::abort();
  auto plain = UidSet::parse(text);
  if (plain && *plain != set) std::abort();
  UidSet rest = set;
  rest.remove(UidRange{set.min(), set.min()});
  if (rest.contains(set.min()) || rest.count() + 1 != set.count()) std::abort();
  rest.add(set.min());
  if (rest != set || set.intersect(rest) != set) std::abort();
  return 0;
}
