// APPEND (RFC 3501 6.3.11, RFC 4315, with several messages RFC 3502): each message goes from the
// relay to a file in tmp/ as it comes, through the ring. Once the last one is whole and on the disk
// all of them are messages of the mailbox, together; before, or when one of them fails, none is.

#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>

#include "imap/commands/commands.h"
#include "imap/syntax/limits.h"
#include "imap/syntax/parser.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"
#include "role/log.h"

namespace dormouse::imap {
namespace {

io::Task<Result<void>> write_all(io::Loop* loop, int fd, std::string bytes, uint64_t offset) {
  std::span<const std::byte> left = std::as_bytes(std::span(bytes));
  while (!left.empty()) {
    auto written = co_await loop->write(fd, left, offset);
    if (!written) co_return std::unexpected(written.error());
    if (*written == 0) co_return fail(ErrorKind::kNoSpace, "write wrote nothing");
    left = left.subspan(*written);
    offset += *written;
  }
  co_return Result<void>{};
}

io::Task<Result<void>> fsync_directory(io::Loop* loop, std::string path) {
  auto directory = co_await loop->open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!directory) co_return std::unexpected(directory.error());
  auto synced = co_await loop->fsync(directory->get());
  if (!synced) co_return std::unexpected(synced.error());
  co_return Result<void>{};
}

Reply append_refusal(const Error& error) {
  if (error.kind == ErrorKind::kNotFound) return no("[TRYCREATE] No such mailbox.");
  return refusal(error);
}

// A message on its way to the mailbox.
struct Arriving {
  AppendMessage about;
  store::AppendSlot slot;  // removes the file, unless it is spent
  io::Fd file;             // until the message has ended
  store::LineCounter counter;
};

// One APPEND under way.
class Appender {
 public:
  Appender(Session& session, const Append& arguments) : session_(session), arguments_(arguments) {}

  // Mailbox and the first message's file are there. An Error is what the client is refused with.
  io::Task<Result<void>> prepare();
  // Reads all messages to their end, whatever happens to the files. Fails only with the session.
  io::Task<Result<void>> receive();
  Answer commit();

 private:
  io::Task<Result<void>> receive_step(CommandReader::Step step);
  io::Task<Result<void>> begin_message(AppendMessage about);
  io::Task<Result<void>> write_message(std::string bytes);
  io::Task<Result<void>> end_message();
  // Another one is announced: it is begun, or the rest of the command refused.
  io::Task<Result<void>> next_message();
  void give_up(Reply reply);
  // Fails where the session does; else the client will be told.
  Result<void> give_up_by(const Error& why);

  Session& session_;
  const Append& arguments_;
  std::optional<store::Mailbox> mailbox_;
  std::vector<Arriving> messages_;
  std::optional<Reply> refused_;  // what the client is told; the messages are gone
  bool ended_ = false;
};

io::Task<Result<void>> Appender::prepare() {
  auto store = session_.user().store();
  if (!store) co_return std::unexpected(store.error());
  auto mailbox = (*store)->open_mailbox(arguments_.mailbox);
  if (!mailbox) co_return std::unexpected(mailbox.error());
  mailbox_ = *mailbox;
  co_return co_await begin_message(arguments_.message);
}

io::Task<Result<void>> Appender::begin_message(AppendMessage about) {
  auto slot = mailbox_->prepare_append();
  if (!slot) co_return std::unexpected(slot.error());
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  auto file = co_await session_.loop().open(slot->path().c_str(), kFlags, 0600);
  if (!file) co_return std::unexpected(file.error());
  messages_.push_back({.about = std::move(about),
                       .slot = std::move(*slot),
                       .file = std::move(*file),
                       .counter = {}});
  co_return Result<void>{};
}

io::Task<Result<void>> Appender::write_message(std::string bytes) {
  Arriving& message = messages_.back();
  uint64_t offset = message.counter.file_size_bytes();
  message.counter.feed(bytes);
  auto written = co_await write_all(&session_.loop(), message.file.get(), std::move(bytes), offset);
  if (!written) co_return give_up_by(written.error());
  co_return Result<void>{};
}

io::Task<Result<void>> Appender::end_message() {
  if (refused_) co_return Result<void>{};
  Arriving& message = messages_.back();
  if (message.counter.file_size_bytes() == 0) {
    give_up(no("A message has at least one octet."));
    co_return Result<void>{};
  }
  auto synced = co_await session_.loop().fsync(message.file.get());
  if (!synced) co_return give_up_by(synced.error());
  message.file.reset();
  co_return Result<void>{};
}

void Appender::give_up(Reply reply) {
  if (!refused_) refused_ = std::move(reply);
  messages_.clear();  // with their files: a full disk gets its room back at once
}

Result<void> Appender::give_up_by(const Error& why) {
  if (why.kind == ErrorKind::kCancelled) return std::unexpected(why);
  role::log_warning(
      "append-failed",
      {{"user", session_.user().name()}, {"session", session_.id()}, {"reason", why.message}});
  give_up(append_refusal(why));
  return {};
}

io::Task<Result<void>> Appender::receive() {
  while (!ended_) {
    if (session_.relay().input().empty()) {
      IMAP_CO_TRY(co_await session_.await_input());
      continue;
    }
    IMAP_CO_TRY(co_await receive_step(session_.reader().feed(session_.relay().input())));
  }
  co_return Result<void>{};
}

io::Task<Result<void>> Appender::receive_step(CommandReader::Step step) {
  using Event = CommandReader::Event;
  CommandReader& reader = session_.reader();
  switch (step.event) {
    case Event::kMessageData:
      if (!refused_) IMAP_CO_TRY(co_await write_message(std::string(step.data)));
      break;
    case Event::kMessageEnd:
      ended_ = true;
      if (!reader.text().empty()) give_up(bad("Something stands behind the message."));
      IMAP_CO_TRY(co_await end_message());
      break;
    case Event::kContinuation:
      session_.out().text() += "+ OK\r\n";
      break;
    case Event::kMessageLiteral:
      IMAP_CO_TRY(co_await next_message());
      break;
    case Event::kRefused: {
      ended_ = true;
      std::string why(reader.refusal());
      give_up(reader.refusal_is_no() ? no(std::move(why)) : bad(std::move(why)));
      break;
    }
    case Event::kFatal:
      co_return session_.say_bye(std::string(reader.refusal()));
    default:
      break;
  }
  session_.relay().consume(step.consumed_bytes);
  co_return Result<void>{};
}

io::Task<Result<void>> Appender::next_message() {
  CommandReader& reader = session_.reader();
  auto about = parse_append_message(reader.text());
  IMAP_CO_TRY(co_await end_message());
  if (!about) give_up(about.error().no ? no(about.error().text) : bad(about.error().text));
  if (messages_.size() >= kAppendMessagesMax) give_up(no("[LIMIT] Too many messages at once."));
  if (!refused_) {
    auto begun = co_await begin_message(std::move(*about));
    if (!begun) IMAP_CO_TRY(give_up_by(begun.error()));
  }
  if (refused_) {
    reader.refuse_message();
    ended_ = true;
    co_return Result<void>{};
  }
  const bool asked = reader.literal_is_sync();
  reader.accept_message();
  if (asked) session_.out().text() += "+ OK\r\n";
  co_return Result<void>{};
}

Answer Appender::commit() {
  if (refused_) co_return std::move(*refused_);
  std::vector<store::AppendItem> items;
  for (Arriving& message : messages_) {
    store::AppendItem& item = items.emplace_back();
    item.slot = &message.slot;
    item.flags = to_store_flags(message.about.flags.system);
    item.keywords = std::move(message.about.flags.keywords);
    if (message.about.date) item.internal_date_s = message.about.date->unix_seconds;
    item.rfc822_size_bytes = message.counter.rfc822_size_bytes();
  }
  auto appended = mailbox_->commit_append(items);
  if (!appended) co_return append_refusal(appended.error());
  session_.tell_others(*mailbox_);
  auto kept = co_await fsync_directory(&session_.loop(), appended->directory);
  if (!kept) {
    // It is there, but a power failure may take it: the client must not rely on it.
    role::log_error("append-directory-sync-failed",
                    {{"user", session_.user().name()}, {"reason", kept.error().message}});
    co_return no("[SERVERBUG] The message may not survive a power failure.");
  }
  UidSet uids;
  for (uint32_t uid : appended->uids) uids.add(uid);
  session_.made(*mailbox_, uids);
  std::string text = "[";
  put_appenduid(text, appended->uid_validity, uids);
  co_return ok(text + "] Append completed.");
}

std::string_view condition_of(const Reply& reply) {
  return reply.condition == Condition::kOk   ? "OK"
         : reply.condition == Condition::kNo ? "NO"
                                             : "BAD";
}

}  // namespace

io::Task<Result<void>> append(Session& session, Command command) {
  const Append& arguments = *command.as<Append>();
  Appender appender(session, arguments);
  auto ready = co_await appender.prepare();
  Reply reply;
  if (!ready) {
    session.reader().refuse_message();
    reply = append_refusal(ready.error());
  } else {
    bool asked = session.reader().literal_is_sync();
    session.reader().accept_message();
    if (asked) session.out().text() += "+ OK\r\n";
    IMAP_CO_TRY(co_await appender.receive());
    auto done = co_await appender.commit();
    if (!done) co_return std::unexpected(done.error());
    reply = std::move(*done);
  }
  if (session.selected()) {
    bool own = session.selected()->name == arguments.mailbox;
    auto said =
        own ? co_await session.report_all_changes(true) : co_await session.report_changes(true);
    if (!said) co_return std::unexpected(said.error());
  }
  put_status_line(session.out().text(), command.tag, condition_of(reply), reply.text);
  co_return Result<void>{};
}

}  // namespace dormouse::imap
