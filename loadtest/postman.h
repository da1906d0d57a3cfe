#pragma once
// Postman: puts messages into Maildirs from a thread of its own, as a delivery agent is a process
// of its own. Writing a file may wait for the file system's journal; whoever listens to the
// sessions must not wait with it, or the wait is counted as theirs. So letters are written ahead,
// and sending one is a rename.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "io/result.h"
#include "loadtest/maildrop.h"

namespace dormouse::loadtest {

struct Letter {
  uint32_t user = 0;
  std::string maildir;
  std::string recipient;
  uint64_t sequence = 0;  // differs for each in this process
  uint32_t message_bytes = 0;
};

// Its methods are for one thread, the caller's.
class Postman {
 public:
  Postman() = default;
  Postman(const Postman&) = delete;
  Postman& operator=(const Postman&) = delete;
  ~Postman();  // what was not sent is removed

  // Will be written to MAILDIR/tmp as soon as the thread is free.
  void give(Letter letter);
  size_t given() const { return users_.size(); }         // and not sent
  uint32_t next_user() const { return users_.front(); }  // whose letter send() sends
  // The oldest that was given goes now; given() must not be 0.
  void send();

  struct Outcome {
    uint32_t user = 0;
    uint64_t begun_us = 0;  // now_us() just before the rename
    Result<> sent;
  };
  size_t under_way() const { return under_way_; }  // sent, and the outcome not taken yet
  std::vector<Outcome> take_outcomes();            // in the order of send()

 private:
  struct Held {
    Letter letter;
    std::optional<Result<Maildrop>> written;
  };
  void work();
  void write_one(std::unique_lock<std::mutex>& lock, Held& held);
  void send_one(std::unique_lock<std::mutex>& lock);

  std::deque<uint32_t> users_;  // of the letters given
  size_t under_way_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Held> held_;  // elements stay in place while others come at the end
  size_t to_send_ = 0;     // of those in front
  bool ending_ = false;
  std::vector<Outcome> outcomes_;
  std::thread thread_;  // from the first letter on
};

}  // namespace dormouse::loadtest
