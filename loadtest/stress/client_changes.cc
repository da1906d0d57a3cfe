// What a stress client says to change a mailbox: STORE, EXPUNGE, APPEND.

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/stress/client.h"

namespace dormouse::loadtest::stress {
namespace {

constexpr uint32_t kStoreMessagesMax = 8;
// Deleted at one go where a mailbox is too full.
constexpr uint32_t kDeleteMessagesMax = 20;

}  // namespace

// One flag of messages where it is ours and all have the same value: each changes it, once.
bool Client::issue_store(uint64_t now_us, std::string& send) {
  uint32_t flags = uint32_t(view_.keywords_allowed() ? kTrackedFlags.size() : kSystemFlags);
  uint32_t flag = random_.below(flags);
  std::vector<uint32_t> uids;
  bool value = false;
  uint64_t mod_seq = 0;
  for (uint32_t uid : some_uids(uint32_t(view_.messages().size()))) {
    TruthMessage* truth = truth_.find(uid);
    bool ours = truth != nullptr && truth->flags_certain() && truth->flags[flag].known &&
                truth_.owner(uid, flag) == settings_.slot;
    if (!ours) continue;
    bool now = truth->flags[flag].value(truth->flags[flag].started);
    if (uids.empty()) value = now;
    if (now != value) continue;
    uids.push_back(uid);
    mod_seq = std::max(mod_seq, view_.find(uid)->mod_seq);
    if (uids.size() == kStoreMessagesMax) break;
  }
  if (uids.empty()) return false;
  Sent sent{.verb = Verb::kStore, .state = State::kStore, .by_uid = by_uid(), .flag = flag};
  std::string set = name_messages(sent, std::move(uids));
  for (uint32_t uid : sent.uids) {
    sent.versions.push_back(++truth_.find(uid)->flags[flag].started);
  }
  sent.fetch.asked = true;
  bool conditional = view_.condstore && mod_seq != 0 && random_.percent(30);
  std::string command =
      fmt::format("{}STORE {}{} {}FLAGS{} ({})", sent.by_uid ? "UID " : "", set,
                  conditional ? fmt::format(" (UNCHANGEDSINCE {})", mod_seq) : "",
                  value ? "-" : "+", random_.percent(50) ? ".SILENT" : "", kTrackedFlags[flag]);
  issue(std::move(sent), command, now_us, send);
  return true;
}

bool Client::issue_delete(uint64_t now_us, std::string& send) {
  auto count = uint32_t(view_.messages().size());
  uint32_t excess = count - std::min(count, settings_.messages);
  uint32_t wanted = random_.below(2);
  if (excess > 0) wanted = 1 + random_.below(std::min(2 * excess, kDeleteMessagesMax));
  auto uids = some_uids(wanted);
  if (uids.empty()) return false;
  Sent sent{.verb = Verb::kStore, .state = State::kDelete, .by_uid = by_uid()};
  std::string set = name_messages(sent, std::move(uids));
  for (uint32_t uid : sent.uids) {
    if (TruthMessage* truth = truth_.find(uid)) truth->doomed = true;
  }
  sent.fetch.asked = true;
  std::string command = fmt::format("{}STORE {} +FLAGS{} (\\Deleted)", sent.by_uid ? "UID " : "",
                                    set, random_.percent(50) ? ".SILENT" : "");
  issue(std::move(sent), command, now_us, send);
  return true;
}

bool Client::issue_expunge(uint64_t now_us, std::string& send) {
  Sent sent{.verb = Verb::kExpunge, .state = State::kExpunge};
  bool some = offers("UIDPLUS") && random_.percent(30);
  for (const ViewMessage& message : view_.messages()) {
    if (some && message.deleted_by_us) sent.uids.push_back(message.uid);
  }
  std::string command =
      sent.uids.empty() ? "EXPUNGE" : fmt::format("UID EXPUNGE {}", write_set(sent.uids));
  issue(std::move(sent), command, now_us, send);
  return true;
}

uint8_t Client::random_flags() {
  uint32_t flags = uint32_t(view_.keywords_allowed() ? kTrackedFlags.size() : kSystemFlags);
  return random_.percent(50) ? uint8_t(random_.next() & ((1u << flags) - 1)) : uint8_t(0);
}

bool Client::issue_append(uint64_t now_us, std::string& send) {
  const uint32_t room = settings_.messages -
                        std::min<uint32_t>(settings_.messages, uint32_t(view_.messages().size()));
  if (room == 0) return false;
  const bool several = offers("MULTIAPPEND") && random_.percent(25);
  const uint32_t count = several ? std::min(1 + random_.below(kAppendMailsMax), room) : 1;
  Sent sent{.verb = Verb::kAppend, .state = State::kAppend};
  std::string command = fmt::format("APPEND {}", quote(settings_.mailbox));
  std::string at_once;  // goes with the command
  for (uint32_t i = 0; i < count; ++i) {
    const AppendedMail& mail = sent.mails.emplace_back(
        AppendedMail{.mail = {.seed = settings_.seed,
                              .serial = uint64_t{settings_.number} << 32 | ++serial_,
                              .body_bytes = random_.below(settings_.body_bytes_max + 1)},
                     .flags = random_flags()});
    std::string text = mail_text(mail.mail);
    const bool waits = !offers("LITERAL+") || random_.percent(50);
    std::string announced =
        fmt::format(" ({}) {{{}{}}}", write_flags(mail.flags), text.size(), waits ? "" : "+");
    if (i == 0) {
      command += announced;
    } else {
      (sent.waiting.empty() ? at_once : sent.waiting.back()) += announced + "\r\n";
    }
    if (waits) sent.waiting.emplace_back();
    (sent.waiting.empty() ? at_once : sent.waiting.back()) += text;
  }
  (sent.waiting.empty() ? at_once : sent.waiting.back()) += "\r\n";
  issue(std::move(sent), command, now_us, send);
  send += at_once;
  return true;
}

}  // namespace dormouse::loadtest::stress
