#include "master/resources.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "hibernate/watch/notice_sockets.h"
#include "hibernate/watch/stores.h"
#include "store/boots.h"

namespace dormouse::master {
namespace {

using Kind = wire::MasterToRole::Resource;

// Several times as many as can be served (docs/benchmarks.md). TCP repeats a dropped SYN after 1,
// 1, 1, 1, 2, 4, 8 s: who is not in the kernel's queue after some seconds waits for long, on a
// machine that may be idle by then. The queue is served at the pace of docs/pressure.md.
constexpr uint32_t kLoginsPerProcess = 2000;
// Half of it is let in at once whatever networks it comes from: a storm's first second fills a
// sixth of the kernel's queue (listen.backlog).
constexpr uint64_t kBurstSeconds = 5;
constexpr uint64_t kBurstMax = 1'000'000;  // as the setting's

// CPUs we may run on, as login processes.
uint32_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? uint32_t(count) : 1;
}

Result<io::Secret> random_secret(size_t bytes) {
  std::string secret(bytes, '\0');
  // At most 256 bytes are never cut short once the pool is ready.
  if (::getrandom(secret.data(), bytes, 0) != ssize_t(bytes)) return fail_errno(errno, "getrandom");
  return io::Secret(std::move(secret));
}

// The root directory of sandboxed roles: empty, ours, writable by nobody else.
Result<std::string> make_empty_directory(const Settings& settings) {
  std::string path = settings.base_dir + "/empty";
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail_errno(error.value(), fmt::format("server.base_dir: {}", path));
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return fail_errno(errno, path);
  if (info.st_uid != geteuid() || !std::filesystem::is_empty(path, error)) {
    return fail(ErrorKind::kDenied,
                fmt::format("{} must be empty and belong to the server's user", path));
  }
  if (chmod(path.c_str(), 0555) != 0) return fail_errno(errno, path);
  return path;
}

Introduction resource(Kind::Kind kind, const std::string& name, std::string_view data, int fd) {
  Introduction made;
  auto* message = made.message.mutable_resource();
  message->set_kind(kind);
  message->set_name(name);
  message->set_data(data.data(), data.size());
  // Duplicated: the one here stays for the next process of this role.
  if (fd >= 0) made.fd = io::Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return made;
}

// What a login is told of admission and steering.
Result<> add_admission(const Resources& resources, uint32_t index,
                       std::vector<Introduction>& introductions) {
  const Admission& admission = resources.admission;
  if (admission.page) {
    auto end = ebpf::reading_end(admission.page);
    if (!end) return std::unexpected(end.error());
    introductions.push_back(resource(Kind::ADMISSION, "", "", end->get()));
  }
  if (admission.filter) introductions.push_back(resource(Kind::ADMISSION, "", "", -1));
  const auto& steering = resources.steering.steering;
  if (const int page = steering ? steering->queue_fd(index) : -1; page >= 0) {
    introductions.push_back(resource(Kind::QUEUE, "", "", page));
  }
  return {};
}

Result<> make_change_resources(const Settings& settings, Resources& resources) {
  const std::string& backend = settings.wire.watch().backend();
  if (backend != "auto" && backend != "fanotify") return {};
  auto shared = hibernate::shared_store_from(settings.wire.watch().shared_store());
  auto marked = hibernate::mark_stores(settings.mail_root, shared);
  if (marked && marked->group) {
    resources.change_group = std::move(marked->group);
    resources.change_stores = marked->stores.SerializeAsString();
    return {};
  }
  std::string why = marked ? marked->stores.reasons(0) : marked.error().message;
  if (backend == "fanotify") {
    return fail(ErrorKind::kUnsupported, "watch.backend = \"fanotify\": " + why);
  }
  resources.no_change_group = why;
  return {};
}

Result<> make_notice_resources(const Settings& settings, Resources& resources) {
  if (std::string path = notice_socket_of(settings); !path.empty()) {
    auto made = hibernate::make_notice_socket(path, settings.notice_access == "everybody");
    if (!made) return fail(made.error().kind, "watch.notice_socket: " + made.error().message);
    resources.notices.push_back({.name = "unix", .fd = std::move(*made)});
  }
  if (settings.notice_listen.empty()) return {};
  auto key = hibernate::load_notice_key(settings.notice_key_file);
  if (!key) return fail(key.error().kind, "watch.notice_key: " + key.error().message);
  resources.notice_key = std::move(*key);
  for (const ListenAddress& address : settings.notice_listen) {
    auto made = hibernate::make_udp_notice_socket(address.host, address.port);
    if (!made) return fail(made.error().kind, "watch.notice_listen: " + made.error().message);
    resources.notices.push_back({.name = "udp", .fd = std::move(*made)});
  }
  return {};
}

}  // namespace

Result<> complete_settings(Settings& settings, bool privileged, uint64_t open_files) {
  auto* den = settings.wire.mutable_den();
  auto plan = plan_shards(settings.sessions, den->sockets_per_shard(), open_files);
  if (!plan) return std::unexpected(plan.error());
  den->set_shards(plan->shards);
  den->set_sockets_per_shard(plan->sockets_per_shard);
  if (settings.wire.login().processes() == 0) {
    settings.wire.mutable_login()->set_processes(usable_cpus());
  }
  auto* admission = settings.wire.mutable_admission();
  if (admission->rate() == 0) {
    admission->set_rate(kLoginsPerProcess * settings.wire.login().processes());
  }
  if (admission->burst() == 0) {
    admission->set_burst(uint32_t(std::min(kBurstSeconds * admission->rate(), kBurstMax)));
  }
  fill_default_user(settings, privileged);
  if (settings.server_name.empty()) {
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') {
      settings.server_name = "localhost";
    } else {
      settings.server_name = name;
    }
  }
  return {};
}

Result<std::vector<CertificateResource>> load_certificates(const Settings& settings) {
  std::vector<CertificateResource> certificates;
  for (const CertificateFiles& files : settings.certificates) {
    auto loaded = tls::Certificate::load(files.certificate, files.key);
    if (!loaded) return std::unexpected(loaded.error());
    auto add = [&](const std::string& name) {
      certificates.push_back(
          {.name = name, .pem = io::Secret(loaded->chain_pem + "\n" + loaded->key_pem)});
    };
    if (files.names.empty()) add("");
    for (const std::string& name : files.names) add(name);
  }
  return certificates;
}

std::string clean_boots_path(const Settings& settings) {
  return settings.base_dir + "/clean-boots";
}

Result<Resources> make_resources(Settings& settings, bool privileged, uint64_t open_files) {
  Resources resources;
  resources.privileged = privileged;
  if (auto done = complete_settings(settings, privileged, open_files); !done) {
    return std::unexpected(done.error());
  }
  auto empty = make_empty_directory(settings);
  if (!empty) return std::unexpected(empty.error());
  resources.empty_directory = *empty;
  // Here, since nothing can write mail before there are resources.
  auto clean_boots = store::take_clean_boots(clean_boots_path(settings));
  if (!clean_boots) return std::unexpected(clean_boots.error());
  resources.clean_boots = std::move(*clean_boots);
  auto listeners = open_listeners(settings);
  if (!listeners) return std::unexpected(listeners.error());
  resources.listeners = std::move(*listeners);
  auto admission = make_admission(settings, resources.listeners);
  if (!admission) return std::unexpected(admission.error());
  resources.admission = std::move(*admission);
  auto steering = make_steering(settings, resources.listeners);
  if (!steering) return std::unexpected(steering.error());
  resources.steering = std::move(*steering);
  const auto& den = settings.wire.den();
  auto shards = make_shards({.shards = den.shards(), .sockets_per_shard = den.sockets_per_shard()},
                            den.slab_bytes_per_session());
  if (!shards) return std::unexpected(shards.error());
  resources.shards = std::move(*shards);
  if (auto done = make_change_resources(settings, resources); !done) {
    return std::unexpected(done.error());
  }
  if (auto done = make_notice_resources(settings, resources); !done) {
    return std::unexpected(done.error());
  }
  auto epochs = make_shared_memory("dormouse-epochs", 0);
  if (!epochs) return std::unexpected(epochs.error());
  resources.epochs = std::move(*epochs);
  auto ticket_key = random_secret(tls::TicketKey::kBytes);
  auto cookie_key = random_secret(kCookieKeyBytes);
  if (!ticket_key || !cookie_key) return fail(ErrorKind::kSystem, "no random bytes");
  resources.ticket_key = std::move(*ticket_key);
  resources.cookie_key = std::move(*cookie_key);
  auto certificates = load_certificates(settings);
  if (!certificates) return std::unexpected(certificates.error());
  resources.certificates = std::move(*certificates);
  return resources;
}

Result<std::vector<Introduction>> reloaded_resources_for(const Resources& resources,
                                                         const Settings& settings,
                                                         wire::Role role) {
  std::vector<Introduction> all;
  if (role == wire::LOGIN) {
    for (const CertificateResource& certificate : resources.certificates) {
      all.push_back(resource(Kind::CERTIFICATE, certificate.name, certificate.pem.view(), -1));
    }
  } else if (role == wire::AUTH) {
    const std::string& path = settings.wire.auth().passwd_file();
    io::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno(errno, path);
    all.push_back(resource(Kind::PASSWD_FILE, path, "", -1));
    all.back().fd = std::move(file);
  }
  return all;
}

Result<std::vector<Introduction>> resources_for(const Resources& resources,
                                                const Settings& settings, wire::Role role,
                                                uint32_t index) {
  auto all = reloaded_resources_for(resources, settings, role);
  if (!all) return all;
  switch (role) {
    case wire::LOGIN:
      for (const Listener& listener : resources.listeners) {
        all->push_back(resource(Kind::LISTENER, listener.name, "", socket_for(listener, index)));
      }
      if (auto done = add_admission(resources, index, *all); !done) {
        return std::unexpected(done.error());
      }
      break;
    case wire::DEN: {
      DORMOUSE_CHECK(index < resources.shards.size(), "a den has a shard");
      const Shard& shard = resources.shards[index];
      std::string_view params(reinterpret_cast<const char*>(&shard.params), sizeof shard.params);
      all->push_back(resource(Kind::SHARD_RING, "", params, -1));
      all->push_back(resource(Kind::SHARD_SLAB, "", "", shard.slab.get()));
      break;
    }
    case wire::TRACKER:
      all->push_back(resource(Kind::EPOCHS, "", "", resources.epochs.get()));
      break;
    case wire::WATCH:
      if (resources.change_group) {
        all->push_back(
            resource(Kind::FANOTIFY, "", resources.change_stores, resources.change_group.get()));
      } else if (!resources.no_change_group.empty()) {
        all->push_back(resource(Kind::FANOTIFY, "", resources.no_change_group, -1));
      }
      for (const NoticeResource& notices : resources.notices) {
        all->push_back(resource(Kind::NOTICES, notices.name, "", notices.fd.get()));
      }
      break;
    default:
      break;
  }
  return all;
}

}  // namespace dormouse::master
