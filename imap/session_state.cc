#include "imap/session_state.h"

#include <algorithm>
#include <cstring>

#include "imap/notify_codec.h"
#include "imap/syntax/mutf7.h"
#include "imap/syntax/parser.h"
#include "tuning/session_rhythm.h"
#include "wire/session_state.pb.h"

namespace dormouse::imap {
namespace {

constexpr uint32_t kCondstoreBit = 1;
constexpr uint32_t kQresyncBit = 2;

using Packed = google::protobuf::RepeatedField<uint32_t>;

void pack(const UidSet& uids, Packed* out) {
  uint32_t at = 0;
  for (const UidRange& range : uids.ranges()) {
    out->Add(range.first - at);
    out->Add(range.last - range.first);
    at = range.last;
  }
}

Result<UidSet> unpack(const Packed& packed, uint32_t uid_next, const char* what) {
  UidSet uids;
  uint64_t at = 0;
  if (packed.size() % 2 != 0) return fail(ErrorKind::kInvalid, std::string(what) + ": odd length");
  for (int i = 0; i < packed.size(); i += 2) {
    uint32_t distance = packed.Get(i);
    uint64_t first = at + distance;
    uint64_t last = first + packed.Get(i + 1);
    if (distance < (at == 0 ? 1u : 2u) || last >= uid_next) {
      return fail(ErrorKind::kInvalid, std::string(what) + ": ranges out of order or bounds");
    }
    uids.add(UidRange{uint32_t(first), uint32_t(last)});
    at = last;
  }
  return uids;
}

using Packed64 = google::protobuf::RepeatedField<uint64_t>;

void pack_order(const std::vector<uint32_t>& order, Packed64* out) {
  uint32_t at = 0;
  for (size_t i = 0; i < order.size();) {
    size_t end = i + 1;
    while (end < order.size() && order[end] == order[end - 1] + 1) ++end;
    int64_t distance = int64_t(order[i]) - at;
    uint64_t zigzag = distance < 0 ? 2 * uint64_t(-distance) - 1 : 2 * uint64_t(distance);
    out->Add(2 * zigzag + (end - i > 1 ? 1 : 0));
    if (end - i > 1) out->Add(end - i - 2);
    at = order[end - 1];
    i = end;
  }
}

// Into `order` and `found`. False: no order of different UIDs below `uid_next`.
bool unpack_order(const Packed64& packed, uint32_t uid_next, Context* out) {
  int64_t at = 0;
  for (int i = 0; i < packed.size(); ++i) {
    uint64_t token = packed.Get(i);
    bool run = (token & 1) != 0;
    uint64_t zigzag = token / 2;
    if (zigzag > 2 * uint64_t{UINT32_MAX}) return false;
    int64_t first = at + ((zigzag & 1) != 0 ? -int64_t(zigzag / 2) - 1 : int64_t(zigzag / 2));
    uint64_t more = 0;
    if (run) {
      if (++i == packed.size() || packed.Get(i) >= kContextSortedMax) return false;
      more = packed.Get(i) + 1;
    }
    if (first < 1 || uint64_t(first) + more >= uid_next) return false;
    if (out->order.size() + more >= kContextSortedMax) return false;
    UidRange range{uint32_t(first), uint32_t(uint64_t(first) + more)};
    UidSet these;
    these.add(range);
    if (!out->found.intersect(these).empty()) return false;
    out->found.add(range);
    for (uint64_t uid = range.first; uid <= range.last; ++uid) out->order.push_back(uint32_t(uid));
    at = range.last;
  }
  return true;
}

// Most sleepers', and so not written.
constexpr std::string_view kInbox = "INBOX";

// Answers what is wrong, or "".
std::string_view wrong_with(const wire::SessionState::Mailbox& in) {
  if (in.guid().size() != store::Guid{}.bytes.size()) return "GUID";
  if (in.name().size() > kMailboxBytesMax || !is_utf8(in.name())) return "mailbox name";
  if (in.uid_validity() == 0) return "UIDVALIDITY";
  if (in.mod_seq() == 0 || in.mod_seq() > INT64_MAX) return "mod-sequence";
  if (in.uid_next() == 0 || in.exists() >= in.uid_next()) return "UIDNEXT or EXISTS";
  if (in.recent_count() > in.exists()) return "RECENT";
  if (in.keyword_count() > store::kKeywordsMax) return "keyword count";
  return "";
}

bool valid_tag(std::string_view tag) {
  // tag of RFC 3501 9: ASTRING-CHAR except "+".
  return !tag.empty() && tag.size() <= kTagBytesMax && std::ranges::all_of(tag, [](char c) {
    return c > 0x20 && c < 0x7f && std::strchr("(){%*\"\\+", c) == nullptr;
  });
}

Result<Context> decode_context(const wire::SessionState::Context& in, uint32_t uid_next) {
  auto refuse = [](std::string what) {
    return fail(ErrorKind::kInvalid, "session state: a context's " + what);
  };
  Context out;
  if (!valid_tag(in.tag())) return refuse("tag");
  auto search = read_program(in.program());
  if (!search) return refuse("program");
  bool sorted = !search->order.empty();
  if (sorted ? in.found_size() != 0 : in.order_size() != 0) return refuse("form of result");
  if (in.now_s() < 0) return refuse("time");
  auto found = unpack(in.found(), uid_next, "a context's result");
  if (!found) return std::unexpected(found.error());
  out.found = std::move(*found);
  if (sorted && !unpack_order(in.order(), uid_next, &out)) return refuse("order");
  bool fetch = in.fetch().empty() ||
               (in.fetch().size() <= kNotifyFetchBytesMax && parse_fetch_list(in.fetch()));
  if (!fetch) return refuse("FETCH items");
  out.tag = in.tag();
  out.fetch = in.fetch();
  out.program = in.program();
  out.now_s = in.now_s();
  return out;
}

Result<std::vector<Context>> decode_contexts(const wire::SessionState::Mailbox& in) {
  std::vector<Context> out;
  if (size_t(in.contexts_size()) > kContextsMax) {
    return fail(ErrorKind::kInvalid, "session state: too many contexts");
  }
  for (const auto& one : in.contexts()) {
    auto context = decode_context(one, in.uid_next());
    if (!context) return std::unexpected(context.error());
    bool twice =
        std::ranges::any_of(out, [&](const Context& other) { return other.tag == context->tag; });
    if (twice) return fail(ErrorKind::kInvalid, "session state: two contexts of one tag");
    out.push_back(std::move(*context));
  }
  return out;
}

void encode_context(const Context& from, wire::SessionState::Context* to) {
  to->set_tag(from.tag);
  to->set_program(from.program);
  to->set_now_s(from.now_s);
  to->set_fetch(from.fetch);
  if (from.order.empty()) {
    pack(from.found, to->mutable_found());
  } else {
    pack_order(from.order, to->mutable_order());
  }
}

Result<MailboxState> decode_mailbox(const wire::SessionState::Mailbox& in) {
  if (auto wrong = wrong_with(in); !wrong.empty()) {
    return fail(ErrorKind::kInvalid, "session state: bad " + std::string(wrong));
  }
  MailboxState out;
  std::memcpy(out.guid.bytes.data(), in.guid().data(), out.guid.bytes.size());
  out.name = in.name().empty() ? std::string(kInbox) : in.name();
  out.uid_validity = in.uid_validity();
  out.read_only = in.read_only();
  out.mod_seq = in.mod_seq();
  out.uid_next = in.uid_next();
  out.exists = in.exists();
  out.recent_count = in.recent_count();
  out.keyword_count = in.keyword_count();
  out.keyword_digest = in.keyword_digest();
  auto recent = unpack(in.recent(), in.uid_next(), "recent");
  if (!recent) return std::unexpected(recent.error());
  auto saved = unpack(in.saved_search(), in.uid_next(), "saved search");
  if (!saved) return std::unexpected(saved.error());
  auto unreported = unpack(in.unreported(), in.uid_next(), "unreported");
  if (!unreported) return std::unexpected(unreported.error());
  out.recent = std::move(*recent);
  out.saved_search = std::move(*saved);
  out.unreported = std::move(*unreported);
  auto contexts = decode_contexts(in);
  if (!contexts) return std::unexpected(contexts.error());
  out.contexts = std::move(*contexts);
  if (out.unreported.count() > out.exists || out.recent_count > out.recent.count()) {
    return fail(ErrorKind::kInvalid, "session state: more messages than the mailbox had");
  }
  return out;
}

}  // namespace

Result<std::string> encode_state(const SessionState& state) {
  wire::SessionState out;
  out.set_version(kSessionStateVersion);
  out.set_extensions((state.condstore ? kCondstoreBit : 0) | (state.qresync ? kQresyncBit : 0));
  out.set_idle(state.idle);
  out.set_idle_tag(state.idle_tag);
  out.set_client_id(state.client_id);
  if (state.mailbox) {
    const MailboxState& from = *state.mailbox;
    auto* to = out.mutable_mailbox();
    to->set_guid(from.guid.bytes.data(), from.guid.bytes.size());
    if (from.name != kInbox) to->set_name(from.name);
    to->set_uid_validity(from.uid_validity);
    to->set_read_only(from.read_only);
    to->set_mod_seq(from.mod_seq);
    to->set_uid_next(from.uid_next);
    to->set_exists(from.exists);
    to->set_recent_count(from.recent_count);
    to->set_keyword_count(from.keyword_count);
    to->set_keyword_digest(from.keyword_digest);
    pack(from.recent, to->mutable_recent());
    pack(from.saved_search, to->mutable_saved_search());
    pack(from.unreported, to->mutable_unreported());
    for (const Context& context : from.contexts) encode_context(context, to->add_contexts());
  }
  if (state.notify) {
    if (auto done = encode_notify(*state.notify, *out.mutable_notify()); !done) {
      return std::unexpected(done.error());
    }
  }
  out.set_rhythm(state.rhythm);
  std::string bytes = out.SerializeAsString();
  if (bytes.size() > kSessionStateBytesMax) {
    return fail(ErrorKind::kLimit, "the session's state is too long to park");
  }
  return bytes;
}

Result<SessionState> decode_state(std::string_view bytes) {
  wire::SessionState in;
  if (bytes.empty() || bytes.size() > kSessionStateBytesMax ||
      !in.ParseFromArray(bytes.data(), int(bytes.size()))) {
    return fail(ErrorKind::kInvalid, "session state: not one");
  }
  if (in.version() != kSessionStateVersion) {
    return fail(ErrorKind::kInvalid, "session state: unknown version");
  }
  if ((in.extensions() & ~(kCondstoreBit | kQresyncBit)) != 0) {
    return fail(ErrorKind::kInvalid, "session state: unknown extensions");
  }
  SessionState out;
  out.condstore = (in.extensions() & kCondstoreBit) != 0;
  out.qresync = (in.extensions() & kQresyncBit) != 0;
  out.idle = in.idle();
  out.idle_tag = in.idle_tag();
  if (out.idle ? !valid_tag(out.idle_tag) : !out.idle_tag.empty()) {
    return fail(ErrorKind::kInvalid, "session state: bad IDLE tag");
  }
  out.client_id = in.client_id();
  if (in.has_mailbox()) {
    auto mailbox = decode_mailbox(in.mailbox());
    if (!mailbox) return std::unexpected(mailbox.error());
    out.mailbox = std::move(*mailbox);
  }
  if (in.has_notify()) {
    auto notify = decode_notify(in.notify());
    if (!notify) return std::unexpected(notify.error());
    out.notify = std::move(*notify);
  }
  if (!tuning::SessionRhythm::thaw(in.rhythm(), 0, 0)) {
    return fail(ErrorKind::kInvalid, "session state: bad rhythm");
  }
  out.rhythm = in.rhythm();
  return out;
}

uint32_t keyword_digest(std::span<const std::string> names) {
  // FNV-1a: no adversary gains by a collision, which would only leave a keyword unannounced.
  uint32_t digest = 2166136261u;
  for (const std::string& name : names) {
    for (char c : name) digest = (digest ^ static_cast<unsigned char>(c)) * 16777619u;
    digest = (digest ^ 0xff) * 16777619u;  // a byte no UTF-8 name has
  }
  return digest;
}

}  // namespace dormouse::imap
