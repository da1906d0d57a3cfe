#include "loadtest/postman.h"

#include <algorithm>
#include <utility>

#include "io/result.h"
#include "loadtest/clock.h"

namespace dormouse::loadtest {

Postman::~Postman() {
  if (!thread_.joinable()) return;
  {
    std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Postman::give(Letter letter) {
  users_.push_back(letter.user);
  {
    std::scoped_lock lock(mutex_);
    held_.push_back({.letter = std::move(letter), .written = {}});
  }
  changed_.notify_one();
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
}

void Postman::send() {
  DORMOUSE_CHECK(!users_.empty(), "a letter was given before it is sent");
  users_.pop_front();
  ++under_way_;
  {
    std::scoped_lock lock(mutex_);
    ++to_send_;
  }
  changed_.notify_one();
}

std::vector<Postman::Outcome> Postman::take_outcomes() {
  std::vector<Outcome> taken;
  if (under_way_ == 0) return taken;
  {
    std::scoped_lock lock(mutex_);
    taken.swap(outcomes_);
  }
  under_way_ -= taken.size();
  return taken;
}

void Postman::work() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    auto unwritten = std::ranges::find_if(held_, [](const Held& held) { return !held.written; });
    if (to_send_ > 0 && held_.front().written) {
      send_one(lock);
    } else if (unwritten != held_.end()) {
      write_one(lock, *unwritten);
    } else {
      changed_.wait(lock);
    }
  }
}

// Without the lock, so that nobody waits for the file system. Only this thread removes elements.
void Postman::write_one(std::unique_lock<std::mutex>& lock, Held& held) {
  lock.unlock();
  const Letter& letter = held.letter;
  auto written =
      Maildrop::prepare(letter.maildir, letter.recipient, letter.sequence, letter.message_bytes);
  lock.lock();
  held.written.emplace(std::move(written));
}

void Postman::send_one(std::unique_lock<std::mutex>& lock) {
  Held held = std::move(held_.front());
  held_.pop_front();
  --to_send_;
  lock.unlock();
  Outcome outcome{.user = held.letter.user, .begun_us = now_us(), .sent = {}};
  if (*held.written) {
    outcome.sent = (*held.written)->drop();
  } else {
    outcome.sent = std::unexpected(held.written->error());
  }
  lock.lock();
  outcomes_.push_back(std::move(outcome));
}

}  // namespace dormouse::loadtest
