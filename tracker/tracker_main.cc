#include "tracker/tracker_main.h"

#include <cstdio>

#include "role/log.h"
#include "role/process.h"
#include "tracker/tracker.h"

namespace dormouse::tracker {
namespace {

// Turns what the master says into the tracker's calls.
class TrackerRole final : public role::Role {
 public:
  TrackerRole(role::Process& process, std::unique_ptr<Tracker> tracker)
      : process_(process), tracker_(std::move(tracker)) {}

  Result<> start() override {
    tracker_->start();
    return {};
  }
  void link(role::Link link) override { tracker_->link(std::move(link)); }
  void worker_failed(uint64_t request, const std::string& reason) override {
    tracker_->worker_failed(request, reason);
  }
  void reload() override { tracker_->reload(process_.settings().tracker()); }
  // Sessions that end go on needing answers until the dens are drained; the master asks the tracker
  // last, and then there is nothing to wait for.
  void drain(uint32_t, const std::string&) override { process_.drained(); }
  std::string view() override { return tracker_->view(); }

 private:
  role::Process& process_;
  std::unique_ptr<Tracker> tracker_;
};

TrackerOptions options_from(role::Process& process) {
  TrackerOptions options;
  options.settings = process.settings().tracker();
  options.secret = process.start_message().secret();
  options.restarted = process.start_message().restarted();
  auto epochs = process.take_resources(wire::MasterToRole::Resource::EPOCHS);
  if (!epochs.empty() && !epochs[0].fds.empty()) options.epochs = std::move(epochs[0].fds[0]);
  options.start_worker = [&process](const wire::RoleToMaster::StartWorker& request) {
    process.start_worker(request);
  };
  options.tell_strain = [&process](const wire::RoleToMaster::Strain& strain) {
    process.tell_strain(strain);
  };
  return options;
}

}  // namespace

int tracker_main() {
  role::Process process;
  // Before the sandbox: the epochs are mapped and OpenSSL is used once.
  auto tracker = Tracker::create(process.loop(), process.scope(), options_from(process));
  if (!tracker) {
    role::log_error("tracker_cannot_start", {{"error", tracker.error().message}});
    return 1;
  }
  TrackerRole role(process, std::move(*tracker));
  return process.run(role);
}

}  // namespace dormouse::tracker
