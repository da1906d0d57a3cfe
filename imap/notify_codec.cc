#include "imap/notify_codec.h"

#include <algorithm>
#include <cstring>

#include "imap/syntax/limits.h"
#include "imap/syntax/mutf7.h"
#include "imap/syntax/parser.h"

namespace dormouse::imap {
namespace {

using Wire = wire::SessionState::Notify;

bool names_mailboxes(NotifyFilter filter) {
  return filter == NotifyFilter::kSubtree || filter == NotifyFilter::kMailboxes;
}

bool of_selected(NotifyFilter filter) {
  return filter == NotifyFilter::kSelected || filter == NotifyFilter::kSelectedDelayed;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMailboxBytesMax && is_utf8(name);
}

void encode_names(const NotifyState& state, Wire& out) {
  if (std::ranges::all_of(state.known, &std::string::empty, &KnownMailbox::name)) return;
  std::string_view before;
  for (const KnownMailbox& known : state.known) {
    auto differ = std::ranges::mismatch(before, known.name);
    auto shared = uint32_t(differ.in1 - before.begin());
    out.add_name_heads(shared << 1 | (known.subscribed ? 1 : 0));
    out.add_name_tails(known.name.substr(shared));
    before = known.name;
  }
}

Result<> decode_names(const Wire& in, NotifyState& out) {
  if (in.name_heads_size() != in.name_tails_size() ||
      (in.name_heads_size() != 0 && in.name_heads_size() != in.marks_size())) {
    return fail(ErrorKind::kInvalid, "session state: NOTIFY names and mailboxes differ");
  }
  std::string_view before;
  for (int i = 0; i < in.name_heads_size(); ++i) {
    uint32_t shared = in.name_heads(i) >> 1;
    KnownMailbox& known = out.known[size_t(i)];
    if (shared > before.size()) return fail(ErrorKind::kInvalid, "session state: NOTIFY name");
    known.name = std::string(before.substr(0, shared)) + in.name_tails(i);
    known.subscribed = (in.name_heads(i) & 1) != 0;
    if (!known.name.empty() && !is_name(known.name)) {
      return fail(ErrorKind::kInvalid, "session state: NOTIFY name");
    }
    before = known.name;
  }
  return {};
}

// Answers what is wrong, or "".
std::string_view wrong_with(const Wire::Group& group) {
  if (group.filter() > uint32_t(NotifyFilter::kMailboxes)) return "filter";
  auto filter = NotifyFilter(group.filter());
  if ((group.events() & ~uint32_t(kNotifySupported)) != 0) return "events";
  if (names_mailboxes(filter) != (group.mailboxes_size() > 0)) return "mailboxes";
  if (!std::ranges::all_of(group.mailboxes(), is_name)) return "mailbox name";
  if (group.fetch().empty()) return "";
  if (!of_selected(filter) || group.fetch().size() > kNotifyFetchBytesMax) return "FETCH items";
  return parse_fetch_list(group.fetch()) ? "" : "FETCH items";
}

}  // namespace

uint32_t mailbox_mark(const store::Guid& guid) {
  uint32_t mark = 0;
  std::memcpy(&mark, guid.bytes.data(), sizeof mark);
  return std::max(mark, 1u);
}

Result<> encode_notify(const NotifyState& state, Wire& out) {
  for (const NotifyGroup& group : state.groups) {
    auto* to = out.add_groups();
    to->set_filter(uint32_t(group.filter));
    to->set_events(group.events);
    for (const std::string& name : group.mailboxes) to->add_mailboxes(name);
    to->set_fetch(group.fetch);
  }
  std::vector<uint32_t> marks;
  for (const KnownMailbox& known : state.known) {
    out.add_marks(known.mark);
    out.add_mod_seqs(known.mod_seq);
    if (known.mark != 0) marks.push_back(known.mark);
  }
  std::ranges::sort(marks);
  if (std::ranges::adjacent_find(marks) != marks.end()) {
    return fail(ErrorKind::kLimit, "two mailboxes look alike");
  }
  encode_names(state, out);
  out.set_watched_digest(state.watched_digest);
  return {};
}

Result<NotifyState> decode_notify(const Wire& in) {
  NotifyState out;
  if (size_t(in.groups_size()) > kNotifyGroupsMax || in.marks_size() != in.mod_seqs_size()) {
    return fail(ErrorKind::kInvalid, "session state: bad NOTIFY");
  }
  for (const auto& from : in.groups()) {
    if (auto wrong = wrong_with(from); !wrong.empty()) {
      return fail(ErrorKind::kInvalid, "session state: bad NOTIFY " + std::string(wrong));
    }
    NotifyGroup& group = out.groups.emplace_back();
    group.filter = NotifyFilter(from.filter());
    group.events = NotifyEvents(from.events());
    group.mailboxes.assign(from.mailboxes().begin(), from.mailboxes().end());
    group.fetch = from.fetch();
  }
  for (int i = 0; i < in.marks_size(); ++i) {
    if (in.mod_seqs(i) > INT64_MAX) return fail(ErrorKind::kInvalid, "session state: bad NOTIFY");
    KnownMailbox& known = out.known.emplace_back();
    known.mark = in.marks(i);
    known.mod_seq = in.mod_seqs(i);
  }
  if (auto named = decode_names(in, out); !named) return std::unexpected(named.error());
  out.watched_digest = in.watched_digest();
  return out;
}

}  // namespace dormouse::imap
