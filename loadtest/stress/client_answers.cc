// What a server says to a stress client, and whether it may.

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/stress/client.h"
#include "loadtest/stress/response_code.h"

namespace dormouse::loadtest::stress {

void Client::hear_response(const Response& response, uint64_t now_us) {
  switch (response.kind) {
    case ResponseKind::kUntagged:
      note('S', fmt::format("* {}", response.text));
      break;
    case ResponseKind::kContinuation:
      note('S', fmt::format("+ {}", response.text));
      break;
    case ResponseKind::kTagged:
      note('S', fmt::format("{} {}", response.tag, response.text));
      break;
  }
  if (response.truncated) {
    return complain(fmt::format("a response larger than {} bytes of line or {} of literals",
                                kScannerBounds.kept_bytes_max, kScannerBounds.literal_bytes_max));
  }
  switch (response.kind) {
    case ResponseKind::kUntagged:
      return hear_untagged(response);
    case ResponseKind::kContinuation:
      return hear_continuation(now_us);
    case ResponseKind::kTagged:
      return hear_tagged(response, now_us);
  }
}

void Client::hear_continuation(uint64_t now_us) {
  if (sent_.empty()) return complain("a continuation that nobody waits for");
  Sent& front = sent_.front();
  if (front.verb == Verb::kIdle && !idling_) {
    idling_ = true;
    idle_until_us_ = now_us + uint64_t{random_.below(settings_.idle_ms_max + 1)} * 1000;
  } else if (front.verb == Verb::kAppend && !front.waiting.empty()) {
    to_send_ += front.waiting.front();
    front.waiting.pop_front();
  } else {
    complain("a continuation that nobody waits for");
  }
}

void Client::hear_untagged(const Response& response) {
  std::string_view text = response.text;
  if (begins_with_word(text, "BYE")) {
    bye_heard_ = true;
    bool asked = std::ranges::any_of(sent_, [](const Sent& s) { return s.verb == Verb::kLogout; });
    if (!asked) bye_ = std::string(text.substr(0, kLineBytesMax));
    return;
  }
  if (!greeted_) {
    greeted_ = begins_with_word(text, "OK");
    if (!greeted_) complain("the greeting must be * OK");
    return;
  }
  for (std::string_view status : {"OK", "NO", "BAD"}) {
    if (begins_with_word(text, status)) return hear_code(after_word(text));
  }
  if (begins_with_word(text, "CAPABILITY")) return read_capabilities(after_word(text));
  if (begins_with_word(text, "STATUS")) return hear_mailbox_status(response);
  if (begins_with_word(text, "SEARCH")) return hear_search(response);
  if (begins_with_word(text, "LIST")) {
    auto values = parse_values(after_word(text), response.literals);
    if (!values || values->size() < 3) return complain("a LIST response that cannot be read");
    const Value& name = values->at(2);
    mailbox_listed_ = mailbox_listed_ || name.text == settings_.mailbox ||
                      (to_upper(name.text) == "INBOX" && to_upper(settings_.mailbox) == "INBOX");
    return;
  }
  auto data = numbered_data(text);
  bool about_mailbox =
      data || begins_with_word(text, "FLAGS") || begins_with_word(text, "VANISHED");
  if (!about_mailbox) return;
  bool selecting = !sent_.empty() && sent_.front().verb == Verb::kSelect;
  if (!selected_ && !selecting) {
    return complain("mailbox data, but no mailbox is selected");
  }
  if (!data) return hear_mailbox(response);
  if (begins_with_word(data->word, "EXISTS")) return view_.exists(data->number);
  if (begins_with_word(data->word, "RECENT")) return view_.recent(data->number);
  if (begins_with_word(data->word, "EXPUNGE")) return view_.expunge(data->number, may_expunge());
  if (begins_with_word(data->word, "FETCH")) return hear_fetch(data->number, response);
}

// FLAGS (...) and VANISHED [(EARLIER)] set.
void Client::hear_mailbox(const Response& response) {
  auto values = parse_values(after_word(response.text), response.literals);
  if (!values || values->empty()) return complain("a response that cannot be read");
  if (begins_with_word(response.text, "FLAGS")) return view_.flags(values->front());
  bool earlier = values->front().is_list();
  bool selecting = !sent_.empty() && sent_.front().verb == Verb::kSelect;
  if (earlier && !selecting) return complain("VANISHED (EARLIER) that nobody asked for");
  view_.vanished(values->back().text, earlier, may_expunge());
}

void Client::hear_code(std::string_view text) {
  Code code = code_of(text);
  auto number = to_number(code.rest);
  if (code.name == "CAPABILITY") read_capabilities(code.rest);
  bool selecting = !sent_.empty() && sent_.front().verb == Verb::kSelect;
  if (!selected_ && !selecting) return;
  if (code.name == "CLOSED" && selecting) view_.closed();
  if (code.name == "UIDVALIDITY") view_.uid_validity(number.value_or(0));
  if (code.name == "UIDNEXT") view_.uid_next(number.value_or(0));
  if (code.name == "HIGHESTMODSEQ") view_.highest_mod_seq(number.value_or(0));
  if (code.name == "PERMANENTFLAGS") {
    auto values = parse_values(code.rest, {});
    if (!values || values->empty()) return complain("PERMANENTFLAGS that cannot be read");
    view_.permanent_flags(values->front());
  }
}

void Client::hear_fetch(uint64_t number, const Response& response) {
  auto values = parse_values(after_word(after_word(response.text)), response.literals);
  if (!values || values->size() != 1) return complain("a FETCH response that cannot be read");
  // Which of several commands it answers cannot be told: it is held against what all allow.
  FetchContext context;
  uint32_t asking = 0;
  for (Sent& sent : sent_) {
    if (sent.verb != Verb::kFetch && sent.verb != Verb::kStore) continue;
    context.changed_since = ++asking == 1 ? sent.fetch.changed_since : 0;
    context.partial_bytes = std::max(context.partial_bytes, sent.fetch.partial_bytes);
  }
  context.asked = asking > 0;
  view_.fetch(number, values->front(), context);
  if (number == 0 || number > view_.messages().size()) return;
  uint32_t uid = view_.messages()[number - 1].uid;
  for (Sent& sent : sent_) {
    if (sent.verb == Verb::kFetch) sent.answered.insert(uid);
  }
}

void Client::hear_search(const Response& response) {
  Sent* search = awaiting(Verb::kSearch);
  if (search == nullptr) return complain("SEARCH results that nobody asked for");
  search->heard = true;
  auto values = parse_values(after_word(response.text), {});
  if (!values) return complain("SEARCH results that cannot be read");
  for (const Value& value : *values) {
    if (value.is_list()) continue;  // (MODSEQ n)
    auto number = value.number();
    if (!number || *number == 0 || (!search->by_uid && *number > view_.messages().size())) {
      return complain(fmt::format("SEARCH found {}, which does not exist", value.text));
    }
    uint32_t uid = search->by_uid ? uint32_t(*number) : view_.messages()[*number - 1].uid;
    search->answered.insert(uid);
  }
  // Here and not at the tagged reply: a STORE behind it may already have been carried out by then.
  view_.searched(search->flag, search->wanted, search->uids, search->answered);
}

void Client::hear_mailbox_status(const Response& response) {
  auto values = parse_values(after_word(response.text), response.literals);
  if (!values || values->size() != 2 || values->at(1).list.size() % 2 != 0) {
    return complain("a STATUS response that cannot be read");
  }
  Sent* status = awaiting(Verb::kStatus);
  if (status == nullptr) return;
  status->heard = true;
  const std::vector<Value>& items = values->at(1).list;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    auto number = items[i + 1].number();
    if (!number) return complain("a STATUS response without its numbers");
    if (items[i].is_atom("UIDVALIDITY")) view_.uid_validity(*number);
    if (items[i].is_atom("UIDNEXT")) {
      if (*number < status->uid_next) {
        complain(fmt::format("STATUS: UIDNEXT {}, after {} was known", *number, status->uid_next));
      }
      truth_.uid_next = std::max(truth_.uid_next, uint32_t(*number));
    }
    if (items[i].is_atom("MESSAGES") && settings_.fresh) {
      uint64_t least = 0;
      for (const auto& [uid, truth] : truth_.messages()) {
        if (!truth.doomed && truth.born_event <= status->event) ++least;
      }
      if (*number < least) {
        complain(fmt::format("STATUS: {} messages, but {} were there that nobody deleted", *number,
                             least));
      }
    }
  }
}

}  // namespace dormouse::loadtest::stress
