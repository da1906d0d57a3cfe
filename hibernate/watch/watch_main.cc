#include "hibernate/watch/watch_main.h"

#include <memory>

#include "hibernate/watch/watch.h"
#include "role/log.h"
#include "role/process.h"

namespace dormouse::hibernate {
namespace {

class WatchRole final : public role::Role {
 public:
  WatchRole(role::Process& process, std::unique_ptr<Watch> watch)
      : process_(process), watch_(std::move(watch)) {}

  Result<> start() override {
    watch_->start();
    return {};
  }
  void link(role::Link link) override { watch_->link(std::move(link)); }
  void reload() override { watch_->reload(process_.settings().watch()); }
  void drain(uint32_t, const std::string&) override { process_.drained(); }
  std::string view() override { return watch_->view(); }

 private:
  role::Process& process_;
  std::unique_ptr<Watch> watch_;
};

}  // namespace

int watch_main() {
  role::Process process;
  WatchOptions options;
  options.settings = process.settings().watch();
  auto groups = process.take_resources(wire::MasterToRole::Resource::FANOTIFY);
  if (!groups.empty() && !groups[0].fds.empty()) {
    options.fanotify = std::move(groups[0].fds[0]);
    if (!options.stores.ParseFromString(groups[0].message.data())) options.stores.Clear();
  } else if (!groups.empty()) {
    options.no_fanotify = groups[0].message.data();
  }
  for (auto& socket : process.take_resources(wire::MasterToRole::Resource::NOTICES)) {
    if (socket.fds.empty()) continue;
    options.notices.push_back(
        {.fd = std::move(socket.fds[0]), .sealed = socket.message.name() == "udp"});
  }
  options.notice_key = io::Secret(process.start_message().secret());
  auto watch = Watch::create(process.loop(), process.scope(), std::move(options));
  if (!watch) {
    role::log_error("watch_cannot_start", {{"error", watch.error().message}});
    return 1;
  }
  role::Sandbox sandbox;
  // fanotify tells of handles: no path, no right and no file is needed. The others go by path.
  if ((*watch)->needs_files()) {
    sandbox.files = true;
    sandbox.read_all = true;
    sandbox.keep_root_directory = true;
  }
  process.set_sandbox(sandbox);
  WatchRole role(process, std::move(*watch));
  return process.run(role);
}

}  // namespace dormouse::hibernate
