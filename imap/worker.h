#pragma once
// Worker: the role. Takes sessions from the tracker, runs each as a coroutine under its user's
// identity, tells the tracker when it ended, and leaves when it is told to and empty.

#include <map>
#include <memory>
#include <string>

#include "imap/session.h"
#include "imap/user.h"
#include "role/process.h"
#include "wire/outbox.h"
#include "wire/tracker_worker.pb.h"

namespace dormouse::imap {

class Worker final : public role::Role, public ChangePublisher {
 public:
  explicit Worker(role::Process& process);
  ~Worker() override;

  Result<> start() override;
  void link(role::Link link) override;
  void reload() override;
  void pressure(tuning::Pressure level, const std::string& text) override;
  void drain(uint32_t grace_ms, const std::string& text) override;
  std::string view() override;

 private:
  struct Running {
    User* user = nullptr;
    std::unique_ptr<io::Scope> scope;
    std::unique_ptr<Session> session;
  };

  struct TrackerLink;
  struct WatchLink;

  io::Task<void> serve_tracker(std::unique_ptr<TrackerLink> link);
  io::Task<void> take_orders(TrackerLink& link);
  io::Task<void> serve_watch(std::unique_ptr<WatchLink> link);
  bool wanted() const override;
  void publish(uint64_t topic) override;
  void accept(wire::TrackerToWorker::Serve serve, io::Channel channel);
  io::Task<void> live(uint64_t key);
  io::Task<void> record(io::Channel channel);
  io::Task<void> housekeeping();
  io::Task<Result<void>> tidy();
  io::Task<void> end_after(uint64_t grace_ms);
  void leave_if_empty();
  void tell_ended(uint64_t session, const std::string& user);
  void tell_load();
  uint64_t memory_bytes() const;

  role::Process& process_;
  SessionHost host_;
  UserCache users_;
  std::map<uint64_t, Running> sessions_;  // bounded by the tracker's sessions_per_worker
  uint64_t next_key_ = 1;                 // a session may come again before its last life ended
  TrackerLink* tracker_ = nullptr;        // the present one; owned by its coroutine
  WatchLink* watch_ = nullptr;            // likewise
  uint64_t published_ = 0;
  size_t told_sessions_ = 0;  // in the last Load
  uint32_t late_ms_ = 0;      // the loop's, at the last housekeeping
  uint32_t told_late_ms_ = 0;
  uint64_t tidied_key_ = 1;    // next_key_ as the last tidy() began
  std::string shutdown_text_;  // draining when not empty
  io::Fd statm_;
  bool leaving_ = false;
};

}  // namespace dormouse::imap
