#pragma once
// MailboxView: one client's view of its selected mailbox (RFC 3501 2.3.1, 7.4): which messages are
// there under which sequence numbers, what was heard of each; and the rules by which it may change.
// What breaks a rule becomes a complaint. An engine; belongs to one client, shares the truth.

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "loadtest/stress/truth.h"
#include "loadtest/stress/value.h"

namespace dormouse::loadtest::stress {

struct ViewMessage {
  uint32_t uid = 0;                                    // 0: not heard yet
  std::array<uint32_t, kTrackedFlags.size()> floor{};  // no older version may be shown
  uint8_t flags = 0;                                   // last heard
  bool flags_known = false;
  bool deleted_by_us = false;     // our \Deleted was confirmed: our EXPUNGE must remove it
  uint64_t mod_seq = 0;           // last heard; 0: never
  bool flags_at_mod_seq = false;  // `flags` came together with `mod_seq`
};

// What a client keeps of a view to resynchronise by (RFC 7162 3.2.5.2).
struct SavedView {
  uint32_t uid_validity = 0;
  uint64_t mod_seq = 0;  // 0: nothing saved
  std::vector<ViewMessage> messages;
};

// A FETCH response's data in the context of the command that is being executed.
struct FetchContext {
  bool asked = false;          // by a FETCH or STORE command
  uint32_t partial_bytes = 0;  // of BODY[]<n.m>
  uint64_t changed_since = 0;  // 0: not asked
};

class MailboxView {
 public:
  // A response that makes more of them is refused: a test does not need such mailboxes.
  static constexpr uint32_t kMessagesMax = 1'000'000;

  MailboxView(MailboxTruth& truth, Complaints& complaints)
      : truth_(truth), complaints_(complaints) {}

  // SELECT is being sent; with `saved` where it asks to resynchronise.
  void select(const SavedView* saved);
  void closed();    // OK [CLOSED]: only what comes from here on is of the new mailbox
  void selected();  // its OK came
  SavedView save() const;

  // Untagged data. `may_expunge`: whether a command allows EXPUNGE now (RFC 3501 7.4.1).
  void exists(uint64_t count);
  void recent(uint64_t count);
  void flags(const Value& list) { defined_flags_ = read_flags(list).keywords; }
  void expunge(uint64_t number, bool may_expunge);
  void vanished(std::string_view set, bool earlier, bool may_expunge);
  void fetch(uint64_t number, const Value& items, const FetchContext& context);
  void uid_validity(uint64_t value);
  void uid_next(uint64_t value);
  void highest_mod_seq(uint64_t value);
  void permanent_flags(const Value& list);

  // A STORE's outcome for one message and flag: `version` is confirmed.
  void stored(uint32_t uid, uint32_t flag, uint32_t version);
  // What a SEARCH for `flag` (nothing: for ALL) found among `uids`, all the UIDs known before it.
  void searched(std::optional<uint32_t> flag, bool wanted, std::span<const uint32_t> uids,
                const std::set<uint32_t>& found);
  // Everything confirmed to anybody before `event` must show here by now.
  void check_fresh(uint64_t event);
  // The same for what was asked of each message: FETCH 1:* (UID) named every one.
  void check_all_known(uint32_t count);
  // Our EXPUNGE is done: of all, or of `uids` where it named some.
  void check_expunged(std::span<const uint32_t> uids);

  const std::vector<ViewMessage>& messages() const { return messages_; }
  ViewMessage* find(uint32_t uid);
  bool all_known() const;
  bool resynchronised() const { return resynchronised_; }
  uint32_t number_of(uint32_t uid) const;  // 0: not there
  bool keywords_allowed() const { return keywords_allowed_; }
  uint64_t selected_mod_seq() const { return selected_mod_seq_; }
  // After ENABLE or SELECT (CONDSTORE): flag changes come with MODSEQ, and with QRESYNC with UID.
  bool condstore = false;
  bool qresync = false;

 private:
  void complain(std::string what) { complaints_.push_back(std::move(what)); }
  void learn_uid(size_t index, uint32_t uid);
  void remove(size_t index);
  void vanish(uint32_t uid);
  void observe_flags(size_t index, const FlagList& flags);
  bool observe_flag(ViewMessage& message, TruthMessage& truth, uint32_t flag, bool is_set);
  void observe_mod_seq(size_t index, uint64_t mod_seq, bool flags_changed, bool has_flags,
                       const FetchContext& context);
  void observe_item(size_t index, const std::string& name, const Value& value,
                    const FetchContext& context);
  void check_text(TruthMessage& truth, uint32_t uid, const std::string& name, const Value& value,
                  const FetchContext& context);
  void check_constant(TruthMessage& truth, uint32_t uid, const std::string& name,
                      const std::string& value);
  void resynchronise();

  MailboxTruth& truth_;
  Complaints& complaints_;
  std::vector<ViewMessage> messages_;
  size_t old_messages_ = 0;  // at the front: there at SELECT, so below its UIDNEXT
  uint64_t select_event_ = 0;
  uint32_t selected_uid_next_ = 0;
  uint32_t uid_next_floor_ = 0;
  uint64_t mod_seq_floor_ = 0;
  uint64_t selected_mod_seq_ = 0;
  bool selecting_ = false;
  bool resynchronised_ = false;
  bool exists_heard_ = false;
  bool keywords_allowed_ = false;
  std::vector<std::string> defined_flags_;
  std::optional<SavedView> resync_;
  std::set<uint32_t> vanished_earlier_;
};

}  // namespace dormouse::loadtest::stress
