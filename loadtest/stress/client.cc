#include "loadtest/stress/client.h"

#include <fmt/format.h>

#include <algorithm>

namespace dormouse::loadtest::stress {

Client::Client(ClientSettings settings, MailboxTruth& truth)
    : settings_(std::move(settings)),
      truth_(truth),
      // Neighbouring clients of neighbouring seeds still get streams of their own.
      random_(Random(settings_.seed).next() ^ Random(~uint64_t{settings_.number}).next()),
      view_(truth_, complaints_),
      scanner_(kScannerBounds) {}

void Client::connected() {
  scanner_ = ResponseScanner(kScannerBounds);
  sent_.clear();
  dialogue_.clear();
  answered_last_.clear();
  capabilities_.clear();
  to_send_.clear();
  bye_.clear();
  wake_us_ = 0;
  walk_ = size_t(State::kList);
  chosen_.reset();
  again_ = greeted_ = logged_in_ = capability_asked_ = enable_asked_ = selected_ = false;
  list_due_ = mailbox_listed_ = idling_ = bye_heard_ = finished_ = false;
  extension_ = Extension::kNone;
  view_.condstore = view_.qresync = false;
}

void Client::closed() {
  if (finished_ && complaints_.empty()) {
    if (selected_) saved_ = view_.save();
  } else {
    saved_ = {};
  }
  for (const Sent& sent : sent_) lose(sent);
  sent_.clear();
  selected_ = false;
}

void Client::lose(const Sent& sent) {
  if (!sent.flag || sent.versions.empty()) return;
  for (uint32_t uid : sent.uids) {
    if (TruthMessage* truth = truth_.find(uid)) truth->uncertain = true;
  }
}

void Client::hear(std::string_view plain, uint64_t now_us) {
  scanner_.feed(plain, [this, now_us](const Response& response) {
    hear_response(response, now_us);
    return complaints_.empty();
  });
  if (scanner_.broken()) complain("a literal beyond 32 bits");
}

void Client::act(uint64_t now_us, std::string& send) {
  wake_us_ = 0;
  send += std::exchange(to_send_, {});
  if (idling_) {
    if (now_us < idle_until_us_ && !stopping_) {
      wake_us_ = idle_until_us_;
      return;
    }
    idling_ = false;
    send += "DONE\r\n";
    note('C', "DONE");
  }
  while (next_command(now_us, send)) continue;
}

uint64_t Client::waiting_since_us() const {
  if (!greeted_ || sent_.empty() || idling_) return 0;
  return sent_.front().sent_us;
}

void Client::note(char side, std::string_view line) {
  std::string kept = fmt::format("{}: {}", side, line.substr(0, kLineBytesMax));
  for (char& c : kept) c = c < ' ' || c > '~' ? '?' : c;
  if (line.size() > kLineBytesMax) kept += fmt::format(" ... ({} bytes)", line.size());
  dialogue_.push_back(std::move(kept));
  if (dialogue_.size() > kDialogueLines) dialogue_.pop_front();
}

std::string Client::dialogue() const {
  std::string text;
  if (!answered_last_.empty()) text += "    answered last: " + answered_last_ + '\n';
  for (const Sent& sent : sent_) {
    if (sent.verb != Verb::kLogin) {
      text += fmt::format("    under way: {} {:.{}}\n", sent.tag, sent.line, kLineBytesMax);
    }
  }
  for (const std::string& line : dialogue_) text += "    " + line + '\n';
  return text;
}

bool Client::offers(std::string_view capability) const {
  return capabilities_.contains(std::string(capability));
}

void Client::read_capabilities(std::string_view text) {
  capabilities_.clear();
  while (!text.empty()) {
    size_t space = std::min(text.find(' '), text.size());
    if (space > 0) capabilities_.insert(to_upper(text.substr(0, space)));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
}

// The first command of the kind that still waits for its data. Data need not wait for the tagged
// replies of commands before: Dovecot gives several commands one sync and then all their replies.
Sent* Client::awaiting(Verb verb) {
  auto found = std::ranges::find_if(
      sent_, [verb](const Sent& sent) { return sent.verb == verb && !sent.heard; });
  return found == sent_.end() ? nullptr : &*found;
}

// RFC 3501 7.4.1: never without a command, nor during a FETCH, STORE or SEARCH by numbers.
bool Client::may_expunge() const {
  if (sent_.empty()) return false;
  const Sent& front = sent_.front();
  bool by_numbers =
      front.verb == Verb::kFetch || front.verb == Verb::kStore || front.verb == Verb::kSearch;
  return !by_numbers || front.by_uid;
}

}  // namespace dormouse::loadtest::stress
