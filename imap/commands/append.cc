// APPEND (RFC 3501 6.3.11, RFC 4315): the message goes from the relay to a file in tmp/ as it
// comes, through the ring; it is one message of the mailbox once it is whole and on the disk, and
// nothing before.

#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>

#include "imap/commands/commands.h"
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

// One APPEND under way.
class Appender {
 public:
  Appender(Session& session, const Append& arguments) : session_(session), arguments_(arguments) {}

  // Mailbox and file are there. An Error is what the client is refused with.
  io::Task<Result<void>> prepare();
  // Reads the message to its end, whatever happens to the file. Fails only with the session.
  io::Task<Result<void>> receive();
  Answer commit();

 private:
  io::Task<Result<void>> receive_step(CommandReader::Step step);
  void drop(const Error& why);

  Session& session_;
  const Append& arguments_;
  std::optional<store::Mailbox> mailbox_;
  std::optional<store::AppendSlot> slot_;
  io::Fd file_;
  store::LineCounter counter_;
  std::optional<Error> failed_;
  bool ended_ = false;
  bool more_messages_ = false;
};

io::Task<Result<void>> Appender::prepare() {
  auto store = session_.user().store();
  if (!store) co_return std::unexpected(store.error());
  auto mailbox = (*store)->open_mailbox(arguments_.mailbox);
  if (!mailbox) co_return std::unexpected(mailbox.error());
  auto slot = mailbox->prepare_append();
  if (!slot) co_return std::unexpected(slot.error());
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  auto file = co_await session_.loop().open(slot->path().c_str(), kFlags, 0600);
  if (!file) co_return std::unexpected(file.error());
  mailbox_ = *mailbox;
  slot_.emplace(std::move(*slot));
  file_ = std::move(*file);
  co_return Result<void>{};
}

void Appender::drop(const Error& why) {
  failed_ = why;
  file_.reset();
  slot_.reset();  // removes the file: a full disk gets its room back at once
  role::log_warning(
      "append-failed",
      {{"user", session_.user().name()}, {"session", session_.id()}, {"reason", why.message}});
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
      if (!failed_) {
        uint64_t offset = counter_.file_size_bytes();
        counter_.feed(step.data);
        auto written =
            co_await write_all(&session_.loop(), file_.get(), std::string(step.data), offset);
        if (!written && written.error().kind == ErrorKind::kCancelled) {
          co_return std::unexpected(written.error());
        }
        if (!written) drop(written.error());
      }
      break;
    case Event::kMessageEnd:
      ended_ = true;
      more_messages_ = !reader.text().empty();
      break;
    case Event::kContinuation:
      session_.out().text() += "+ OK\r\n";
      break;
    case Event::kMessageLiteral:
      reader.refuse_message();
      ended_ = true;
      more_messages_ = true;
      break;
    case Event::kRefused:
      ended_ = true;
      more_messages_ = true;
      break;
    case Event::kFatal:
      co_return session_.say_bye(std::string(reader.refusal()));
    default:
      break;
  }
  session_.relay().consume(step.consumed_bytes);
  co_return Result<void>{};
}

Answer Appender::commit() {
  if (more_messages_) co_return bad("One message at a time: MULTIAPPEND is not offered.");
  if (failed_) co_return refusal(*failed_);
  if (counter_.file_size_bytes() == 0) co_return no("A message has at least one octet.");
  auto synced = co_await session_.loop().fsync(file_.get());
  if (!synced) co_return refusal(synced.error());
  file_.reset();
  store::AppendItem item;
  item.slot = &*slot_;
  item.flags = to_store_flags(arguments_.flags.system);
  item.keywords = arguments_.flags.keywords;
  if (arguments_.date) item.internal_date_s = arguments_.date->unix_seconds;
  item.rfc822_size_bytes = counter_.rfc822_size_bytes();
  auto appended = mailbox_->commit_append(std::span(&item, 1));
  if (!appended && appended.error().kind == ErrorKind::kNotFound) {
    co_return no("[TRYCREATE] No such mailbox.");
  }
  if (!appended) co_return refusal(appended.error());
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

Reply append_refusal(const Error& error) {
  if (error.kind == ErrorKind::kNotFound) return no("[TRYCREATE] No such mailbox.");
  return refusal(error);
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
