#include "imap/test_den.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <fstream>

#include "store/store.h"

namespace dormouse::imap {
namespace {

// Bounds every wait of a test, so that a lost wake-up fails instead of hanging.
constexpr uint64_t kTestWaitMs = 20'000;

io::Task<void> run_session(Session* session) { co_await session->run(); }

}  // namespace

Household::Household() {
  char pattern[] = "/tmp/dormouse-imap-XXXXXX";
  if (mkdtemp(pattern) == nullptr) std::abort();
  directory_ = pattern;
  mail_path_ = directory_ + "/Maildir";
  auto loop = io::Loop::create();
  EXPECT_TRUE(loop) << (loop ? "" : loop.error().message);
  loop_ = std::move(*loop);
  host_ = std::make_unique<SessionHost>(*loop_);
  host_->settings.set_park_after_ms(5);
  host_->settings.set_park_quiet_ms(600'000);
  wire::Identity identity;
  identity.set_user("ada");
  identity.set_home(directory_);
  user_ = std::make_unique<User>(*loop_, false, identity);
}

Client& Household::client(io::Scope& scope, std::string name) {
  clients_.push_back(std::make_unique<Client>(*this, scope, std::move(name)));
  return *clients_.back();
}

void Household::over() {
  for (auto& client : clients_) client->over();
}

Household::~Household() {
  clients_.clear();
  elsewhere_.reset();
  user_.reset();
  host_.reset();
  loop_.reset();
  std::filesystem::remove_all(directory_);
}

void Household::deliver(const std::string& mailbox, const std::string& message) {
  std::string path = directory_ + "/incoming";
  std::ofstream(path, std::ios::binary) << message;
  io::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  auto done = store::deliver(mail_path_, mailbox, file.get());
  EXPECT_TRUE(done) << (done ? "" : done.error().message);
}

store::UserStore& Household::elsewhere() {
  if (!elsewhere_) {
    auto opened = store::UserStore::open(mail_path_);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    elsewhere_ = std::move(*opened);
  }
  return *elsewhere_;
}

Client::Client(Household& home, io::Scope& scope, std::string name)
    : home_(home), scope_(scope), name_(std::move(name)), progress_(home.loop()) {}

Client::~Client() = default;

io::Channel Client::start(const wire::DenToWorker::Begin& begin) {
  auto ends = io::Channel::pair();
  EXPECT_TRUE(ends);
  wire::DenToWorker message;
  *message.mutable_begin() = begin;
  EXPECT_TRUE(wire::try_send(ends->first, message));
  sessions_.push_back(std::make_unique<Session>(home_.host(), home_.user(), 1, "192.0.2.1",
                                                std::move(ends->second)));
  scope_.spawn(run_session(sessions_.back().get()));
  return std::move(ends->first);
}

void Client::log_in() {
  wire::DenToWorker::Begin begin;
  begin.set_purpose(wire::DenToWorker::NEW);
  begin.set_tag("l0");
  channel_ = start(begin);
  state_ = State::kAwake;
  scope_.spawn(pump(++generation_));
}

void Client::tell(const wire::DenToWorker& message) {
  auto told = wire::try_send(channel_, message);
  EXPECT_TRUE(told || told.error().kind == ErrorKind::kClosed);
}

void Client::give(std::string text) {
  while (!text.empty()) {
    wire::DenToWorker message;
    message.set_data(text.substr(0, wire::kMaxRelayDataBytes));
    given_bytes_ += message.data().size();
    text.erase(0, message.data().size());
    tell(message);
  }
}

void Client::send(std::string text) {
  ASSERT_TRUE(state_ == State::kAwake || state_ == State::kParked) << name_;
  if (state_ == State::kParked) {
    channel_ = start(resumption(wire::DenToWorker::INPUT));
    given_bytes_ = 0;
    offered_ = false;
    state_ = State::kAwake;
    scope_.spawn(pump(++generation_));
  }
  give(std::move(text));
}

wire::DenToWorker::Begin Client::resumption(wire::DenToWorker::Purpose purpose) const {
  wire::DenToWorker::Begin begin;
  begin.set_purpose(purpose);
  begin.set_state(parked_.state());
  begin.set_mode(parked_.mode());
  begin.set_idle_tag(parked_.idle_tag());
  if (parked_.announces()) begin.set_exists(parked_.exists());
  begin.set_compressed(compressed_);
  return begin;
}

bool Client::announce(uint32_t messages) {
  bool answered =
      parked_.small_talk() || parked_.pushes() || parked_.mode() == wire::WorkerToDen::Parked::IDLE;
  if (state_ != State::kParked || !parked_.announces() || !answered) return false;
  parked_.set_exists(parked_.exists() + messages);
  std::string line = fmt::format("* {} EXISTS\r\n", parked_.exists());
  text_ += line;
  transcript_ += line;
  progress_.set();
  return true;
}

io::Task<void> Client::refresh() {
  if (state_ != State::kParked) co_return;
  channel_ = start(resumption(wire::DenToWorker::REFRESH));
  state_ = State::kRefreshing;
  scope_.spawn(pump(++generation_));
  while (state_ == State::kRefreshing) {
    auto waited = co_await wait();
    EXPECT_TRUE(waited) << "a refresh is answered";
    if (!waited) co_return;
  }
}

io::Task<void> Client::pump(uint64_t generation) {
  while (true) {
    auto received = co_await wire::receive<wire::WorkerToDen>(home_.loop(), channel_);
    if (generation != generation_) co_return;
    if (!received) {
      if (state_ == State::kRefreshing) ADD_FAILURE() << "a refresh ended without its answer";
      if (state_ == State::kAwake && !bye_) ADD_FAILURE() << name_ << ": ended without a word";
      if (state_ != State::kParked) state_ = State::kClosed;
      progress_.set();
      co_return;
    }
    handle(received->message);
    progress_.set();
    if (bye_ && state_ == State::kAwake) state_ = State::kClosed;
    if (state_ == State::kParked || state_ == State::kClosed) {
      channel_.close();
      co_return;
    }
  }
}

void Client::handle(const wire::WorkerToDen& message) {
  switch (message.kind_case()) {
    case wire::WorkerToDen::kData:
      EXPECT_LE(message.data().size(), wire::kMaxRelayDataBytes);
      text_ += message.data();
      transcript_ += message.data();
      break;
    case wire::WorkerToDen::kStartCompress:
      EXPECT_FALSE(compressed_) << "once";
      EXPECT_EQ(message.start_compress().consumed_bytes(), given_bytes_);
      compressed_ = true;
      text_ += message.start_compress().last_plain();
      transcript_ += message.start_compress().last_plain();
      break;
    case wire::WorkerToDen::kOffer:
      EXPECT_FALSE(offered_) << "one offer at a time";
      EXPECT_EQ(state_, State::kAwake);
      ++offers_;
      offered_ = true;
      directories_.assign(message.offer().directories().begin(),
                          message.offer().directories().end());
      answer_offer(message.offer().number());
      break;
    case wire::WorkerToDen::kWithdraw:
      hindrance_ = message.withdraw().hindrance();
      EXPECT_TRUE(offered_ || hindrance_ != wire::Hindrance::NONE);
      offered_ = false;
      break;
    case wire::WorkerToDen::kPark:
      EXPECT_TRUE(offered_) << "only what was offered parks";
      offered_ = false;
      EXPECT_LE(message.park().consumed_bytes(), given_bytes_);
      if (message.park().consumed_bytes() != given_bytes_) break;
      parked_ = message.park().parked();
      state_ = State::kParked;
      break;
    case wire::WorkerToDen::kRefreshed:
      EXPECT_EQ(state_, State::kRefreshing);
      if (!message.refreshed().bye().empty()) {
        text_ += "* BYE " + message.refreshed().bye() + "\r\n";
        bye_ = true;
        state_ = State::kClosed;
        break;
      }
      parked_ = message.refreshed().parked();
      if (message.refreshed().directories_size() > 0) {
        directories_.assign(message.refreshed().directories().begin(),
                            message.refreshed().directories().end());
      }
      state_ = State::kParked;
      break;
    case wire::WorkerToDen::kBye:
      bye_ = true;
      break;
    default:
      ADD_FAILURE() << "an unexpected message from the worker";
  }
}

void Client::answer_offer(uint32_t number) {
  wire::DenToWorker ready;
  ready.mutable_ready()->set_number(number);
  if (!cross_on_offer.empty()) {
    give(std::exchange(cross_on_offer, {}));
    tell(ready);
    return;
  }
  if (!accept_parks) return;
  tell(ready);
  if (!cross_on_ready.empty()) give(std::exchange(cross_on_ready, {}));
}

io::Task<Result<void>> Client::wait() {
  progress_.clear();
  co_return co_await io::wait(&progress_, kTestWaitMs);
}

io::Task<std::string> Client::take_until(std::string start) {
  while (true) {
    size_t at = text_.starts_with(start) ? 0 : text_.find("\n" + start);
    size_t end = at == std::string::npos ? at : text_.find("\r\n", at == 0 ? 0 : at + 1);
    if (end != std::string::npos) {
      std::string taken = text_.substr(0, end + 2);
      text_.erase(0, end + 2);
      co_return taken;
    }
    if (state_ == State::kClosed) {
      ADD_FAILURE() << name_ << ": closed while waiting for " << start << ", got: " << text_;
      co_return std::exchange(text_, {});
    }
    auto waited = co_await wait();
    if (!waited) {
      ADD_FAILURE() << name_ << ": waited for " << start << ", got: " << text_;
      co_return std::exchange(text_, {});
    }
  }
}

io::Task<std::string> Client::command(std::string text) {
  std::string tag = fmt::format("{}{}", name_, ++tags_);
  send(tag + " " + text + "\r\n");
  co_return co_await take_until(tag + " ");
}

io::Task<void> Client::room() {
  int queued = 1;
  while (queued > 0 && state_ == State::kAwake) {
    if (::ioctl(channel_.fd(), SIOCOUTQ, &queued) != 0) co_return;
    if (auto rested = co_await home_.loop().sleep(1); !rested) co_return;
  }
}

io::Task<bool> Client::parked() {
  while (state_ == State::kAwake) {
    auto waited = co_await wait();
    EXPECT_TRUE(waited) << name_ << ": does not park";
    if (!waited) co_return false;
  }
  co_return state_ == State::kParked;
}

io::Task<void> Client::ended() {
  while (state_ != State::kClosed) {
    auto waited = co_await wait();
    EXPECT_TRUE(waited) << name_ << ": does not end";
    if (!waited) co_return;
  }
}

}  // namespace dormouse::imap
