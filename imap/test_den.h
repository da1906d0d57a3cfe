#pragma once
// For tests: sessions of one user in this process, each behind a small scripted den, all on one
// loop. The den is strict about wire/relay.proto: what a worker may not say fails the test.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "imap/session.h"
#include "wire/link.h"

namespace dormouse::imap {

class Client;

// A Maildir, the user it belongs to, and that user's clients.
class Household {
 public:
  Household();
  ~Household();

  io::Loop& loop() { return *loop_; }
  SessionHost& host() { return *host_; }
  User& user() { return *user_; }
  const std::string& mail_path() const { return mail_path_; }
  // A file into new/ of a mailbox, as another program does it.
  void deliver(const std::string& mailbox, const std::string& message);
  // A UserStore of "another process".
  store::UserStore& elsewhere();
  // A client connection, kept until all sessions have ended.
  Client& client(io::Scope& scope, std::string name);
  // From now on sessions may end without a word: the test is over.
  void over();
  int run(io::Task<int> task) { return loop_->run(std::move(task)); }

 private:
  std::string directory_;
  std::string mail_path_;
  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<SessionHost> host_;
  std::unique_ptr<User> user_;
  std::unique_ptr<store::UserStore> elsewhere_;
  std::vector<std::unique_ptr<Client>> clients_;
};

// One client connection and its den.
class Client {
 public:
  Client(Household& home, io::Scope& scope, std::string name);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void log_in();
  // From the client: wakes a parked session with Begin(INPUT).
  void send(std::string text);
  // A change notice for the parked session: Begin(REFRESH). Ends when it is answered.
  io::Task<void> refresh();
  // Mail came to the parked session's mailbox: "* n EXISTS" with no worker, where the record allows
  // it; outside IDLE as if the client had said NOOP, whose answer is left out. False: it does not.
  bool announce(uint32_t messages);
  // What came since the last take(), once a line begins with `start` (a tag, "+ ", "* BYE").
  io::Task<std::string> take_until(std::string start);
  // send(tag + " " + command), then take_until(tag).
  io::Task<std::string> command(std::string text);
  // Until the worker has taken what was sent: a den reads the client no faster.
  io::Task<void> room();
  io::Task<bool> parked();  // waits for it
  io::Task<void> ended();   // waits for the end of the connection

  void over() { bye_ = true; }

  bool is_parked() const { return state_ == State::kParked; }
  bool is_closed() const { return state_ == State::kClosed; }
  // The directories of the last Offer or Refreshed that named any.
  const std::vector<wire::Directory>& directories() const { return directories_; }
  const std::string& state_bytes() const { return parked_.state(); }
  void set_state_bytes(std::string bytes) { parked_.set_state(std::move(bytes)); }
  const wire::WorkerToDen::Parked& record() const { return parked_; }
  uint32_t offers() const { return offers_; }
  wire::Hindrance::Kind hindrance() const { return hindrance_; }  // the last that was told
  const std::string& transcript() const { return transcript_; }
  bool compressed() const { return compressed_; }

  bool accept_parks = true;    // false: no Ready
  std::string cross_on_ready;  // sent right behind the Ready, to cross the Park
  std::string cross_on_offer;  // sent instead of the Ready, which comes late then

 private:
  enum class State { kNew, kAwake, kRefreshing, kParked, kClosed };

  io::Channel start(const wire::DenToWorker::Begin& begin);
  wire::DenToWorker::Begin resumption(wire::DenToWorker::Purpose purpose) const;
  io::Task<void> pump(uint64_t generation);
  void handle(const wire::WorkerToDen& message);
  void answer_offer(uint32_t number);
  void give(std::string text);
  void tell(const wire::DenToWorker& message);
  io::Task<Result<void>> wait();
  io::Task<Result<std::string>> line_with(std::string start);

  Household& home_;
  io::Scope& scope_;
  std::string name_;
  State state_ = State::kNew;
  io::Channel channel_;
  std::vector<std::unique_ptr<Session>> sessions_;
  io::Event progress_;
  std::string text_;
  std::string transcript_;
  wire::WorkerToDen::Parked parked_;
  std::vector<wire::Directory> directories_;
  uint64_t given_bytes_ = 0;
  uint64_t generation_ = 0;
  uint32_t offers_ = 0;
  wire::Hindrance::Kind hindrance_ = wire::Hindrance::NONE;
  uint32_t tags_ = 0;
  bool offered_ = false;
  bool compressed_ = false;
  bool bye_ = false;
};

}  // namespace dormouse::imap
