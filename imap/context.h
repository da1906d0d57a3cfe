#pragma once
// A search that lives: RETURN (UPDATE) of RFC 5267. What a session keeps of it, awake and asleep,
// is the program as text, read again each time something changed, and the result. No I/O.
//
// A program is frozen when it is made: sequence numbers and "$" become the UIDs that they then were
// (RFC 5267 4.3), "*" the UID that was the highest, texts UTF-8, and OLDER and YOUNGER count from
// that moment (RFC 5032 2 lets a context lag). So whether a message is in the result depends on
// that message alone; "UID n:*" stays open, for new messages too. What a message says and when it
// came never changes, so an order once found holds as well.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imap/syntax/command.h"
#include "imap/syntax/uid_set.h"
#include "imap/view.h"

namespace dormouse::imap {

// Live at a time in one session. A mail program has one for each list it shows and one or two for
// counts; each costs an evaluation per change.
inline constexpr size_t kContextsMax = 8;
// A frozen program, octets. People's filters are below 200; the rest is for sets of UIDs. Eight of
// the longest and a parked record hold no more than that, so such a session stays awake.
inline constexpr size_t kContextProgramBytesMax = 1024;
// Messages in the order of one SORT: 4 bytes each while awake, and positions are found by counting.
inline constexpr size_t kContextSortedMax = 20'000;

struct Context {
  std::string tag;      // of the command, which updates bear
  std::string program;  // "UID SORT (DATE) US-ASCII NOT SEEN"
  int64_t now_s = 0;    // Unix time, for OLDER and YOUNGER
  UidSet found;
  std::vector<uint32_t> order;  // SORT: of `found`
  std::string fetch;            // what to tell of new messages in it: Search::update_fetch

  bool operator==(const Context&) const = default;
};

// `search` frozen. `saved` is "$".
Search freeze_search(const Search& search, const View& view, const UidSet& saved);
// Of a state that is too long: takes the context with the longest result away and writes its
// NOUPDATE. False: there is none.
bool shed_context(std::vector<Context>& contexts, std::string& out);
// nullopt: nothing that freeze_search() and put_search_program() made.
std::optional<Search> read_program(std::string_view program);

}  // namespace dormouse::imap
