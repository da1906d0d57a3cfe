#pragma once
// ModelServer: a small, honest IMAP server without I/O for tests of the stress client, that can be
// told to lie in one way. It knows the commands that the client sends, with CONDSTORE, QRESYNC and
// UIDPLUS. A ModelMailbox is shared by the sessions of its user.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "loadtest/response_scanner.h"
#include "loadtest/stress/random.h"
#include "loadtest/stress/value.h"

namespace dormouse::loadtest::stress::test {

enum class Lie : uint8_t {
  kNone,
  kUidsDescend,
  kUidChanges,
  kUidValidityChanges,
  kUidNextFalls,
  kUidNextTooHigh,
  kStatusUidNextFalls,
  kStatusTooFew,
  kExistsShrinks,
  kRecentTooMany,
  kExpungeInFetch,
  kExpungeOutOfRange,
  kExpungesLiving,
  kLosesMessage,
  kMessageBack,
  kExpungeForgets,
  kExpungeNotTold,
  kExistsNotTold,
  kStoreLost,
  kStoreNotTold,
  kForeignFlag,
  kForeignDeleted,
  kKeywordUnannounced,
  kModSeqFalls,
  kModSeqStays,
  kModSeqMissing,
  kHighestModSeqFalls,
  kChangedSinceIgnored,
  kVanishedForgotten,
  kVanishedLiving,
  kResyncForgetsFlags,
  kExpungeAfterQresync,
  kVanishedUnknown,
  kTextWrong,
  kTextCut,
  kTextOfAnother,
  kSizeWrong,
  kDateChanges,
  kFetchLeavesOut,
  kSearchLeavesOut,
  kSearchWrongFlag,
  kAppendFlagsLost,
  kAppendUidReused,
  kAppendUidMissing,
  kAppendsSwapped,
  kAppendsOnlyOne,
  kTagsOutOfOrder,
  kUnknownTag,
  kRefuses,
  kListLeavesOut,
  kNoBye,
  kDataUnselected,
  kContinuationUnasked,
  kIdleEnds,
  kUnreadable,
};

struct ModelMessage {
  uint32_t uid = 0;
  std::set<std::string> flags = {};
  uint64_t mod_seq = 0;
  std::string text = {};
};

struct ModelMailbox {
  std::vector<ModelMessage> messages;
  uint32_t uid_validity = 7;
  uint32_t uid_next = 1;
  uint64_t mod_seq = 1;
  std::map<uint32_t, uint64_t> vanished;  // UID, and the MODSEQ it went away with
  std::optional<ModelMessage> buried;     // for kMessageBack
  ModelMessage* find(uint32_t uid);
  void expunge(uint32_t uid);
};

class ModelServer {
 public:
  // The lie is told where there is occasion, now and then.
  ModelServer(ModelMailbox& mailbox, Lie lie, uint64_t seed)
      : mailbox_(mailbox), lie_(lie), random_(seed) {}

  std::string greeting() const { return "* OK [CAPABILITY IMAP4rev1] model\r\n"; }
  // Takes what a client sends and answers what it hears.
  std::string take(std::string_view bytes);
  bool lied() const { return lied_; }

 private:
  struct Known {
    uint32_t uid;
    uint64_t mod_seq;
    std::set<std::string> flags;
  };

  bool lies(Lie lie);
  void answer(const std::string& line);
  void command(const std::string& tag, const std::string& verb,
               const std::vector<Value>& arguments);
  void select(const std::vector<Value>& arguments);
  void resync(uint64_t since);
  void status();
  void fetch(const std::vector<Value>& arguments, bool by_uid);
  void fetch_one(size_t index, const Value& items, bool by_uid, bool mod_seq);
  std::string item(const ModelMessage& message, const std::string& name);
  std::string store(const std::vector<Value>& arguments, bool by_uid);
  void search(const std::vector<Value>& arguments, bool by_uid);
  void expunge(const std::vector<Value>& arguments);
  std::string append(const std::vector<Value>& arguments);
  void sync(bool may_expunge);
  void tell_expunged(size_t index);
  void tell_flags(size_t index, bool uid);
  std::string flags_of(const ModelMessage& message);
  std::vector<size_t> named(const std::string& set, bool by_uid) const;
  void finish(const std::string& tag, std::string text);

  ModelMailbox& mailbox_;
  Lie lie_;
  Random random_;
  std::string input_;
  std::string output_;
  std::string pending_line_;  // waits for its literal
  std::optional<size_t> literal_bytes_;
  std::vector<std::string> literals_;  // of the line under way
  std::string idle_tag_;
  std::string held_reply_;
  std::vector<Known> view_;
  bool selected_ = false;
  bool condstore_ = false;
  bool qresync_ = false;
  bool lied_ = false;
};

}  // namespace dormouse::loadtest::stress::test
