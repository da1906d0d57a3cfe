#include "auth/server.h"

#include <fmt/format.h>

#include <utility>

#include "role/log.h"

namespace dormouse::auth {
namespace {

constexpr auto kPasswdFile = wire::MasterToRole::Resource::PASSWD_FILE;

struct PasswdResource {
  io::Fd file;
  std::string name;
};

// The newest of the files that the master gave.
Result<PasswdResource> take_passwd_file(role::Process& process) {
  std::vector<role::Resource> resources = process.take_resources(kPasswdFile);
  if (resources.empty() || resources.back().fds.size() != 1) {
    return fail(ErrorKind::kNotFound, "no passwd-file was given");
  }
  PasswdResource taken{.file = std::move(resources.back().fds[0]),
                       .name = resources.back().message.name()};
  if (taken.name.empty()) taken.name = process.settings().auth().passwd_file();
  return taken;
}

}  // namespace

AuthServer::AuthServer(role::Process& process, std::unique_ptr<Verifier> verifier)
    : process_(process), verifier_(std::move(verifier)), tracker_(process.loop(), *verifier_) {}

Result<std::unique_ptr<AuthServer>> AuthServer::create(role::Process& process) {
  const wire::Settings::Auth& settings = process.settings().auth();
  auto defaults = DirectoryDefaults::from(settings);
  if (!defaults) return std::unexpected(defaults.error());
  auto resource = take_passwd_file(process);
  if (!resource) return std::unexpected(resource.error());
  auto text = read_passwd_file(resource->file.get(), resource->name);
  if (!text) return std::unexpected(text.error());
  auto directory = UserDirectory::parse(*std::move(text), *defaults);
  if (!directory) return std::unexpected(directory.error());
  auto verifier = Verifier::create(process.loop(), process.start_message().secret(), settings);
  if (!verifier) return std::unexpected(verifier.error());
  std::unique_ptr<AuthServer> server(new AuthServer(process, *std::move(verifier)));
  server->set_mechanisms();
  server->install(*std::move(directory), resource->name);
  return server;
}

Result<> AuthServer::start() {
  return verifier_->start(process_.scope(), process_.settings().auth());
}

void AuthServer::set_mechanisms() {
  mechanisms_.clear();
  for (const std::string& name : process_.settings().auth().mechanisms()) {
    auto mechanism = find_mechanism(name);
    if (mechanism) {
      mechanisms_.push_back(*mechanism);
    } else {
      role::log_error("unknown-mechanism", {{"mechanism", name}});
    }
  }
}

void AuthServer::install(std::shared_ptr<const UserDirectory> directory, std::string_view name) {
  const PasswdFile& file = directory->file();
  for (const Complaint& complaint : file.complaints()) {
    role::log(complaint.wrong ? role::LogLevel::kError : role::LogLevel::kWarning, "passwd-line",
              {{"at", fmt::format("{}:{}", name, complaint.line)}, {"reason", complaint.text}});
  }
  role::log_info(
      "passwd-file",
      {{"file", name}, {"users", file.users()}, {"complaints", file.complaints_total()}});
  verifier_->set_directory(std::move(directory), process_.settings().auth());
}

void AuthServer::link(role::Link link) {
  if (link.peer == wire::LOGIN) {
    process_.scope().spawn(serve_login(link.index, std::move(link.channel)));
  } else if (link.peer == wire::TRACKER) {
    process_.scope().spawn(tracker_.serve(std::move(link.channel)));
  }
}

io::Task<void> AuthServer::serve_login(uint32_t index, io::Channel channel) {
  role::log_debug("login-linked", {{"login", index}});
  ++logins_;
  LoginLink link(process_.loop(), *verifier_, tracker_, mechanisms_, counters_, std::move(channel));
  co_await link.serve();
  --logins_;
}

void AuthServer::reload() {
  set_mechanisms();
  auto defaults = DirectoryDefaults::from(process_.settings().auth());
  auto resource = take_passwd_file(process_);
  if (!defaults || !resource) {
    // The users of before stay: without any, nobody could log in.
    const Error& error = defaults ? resource.error() : defaults.error();
    role::log_error("reload-failed", {{"reason", error.message}});
    return;
  }
  process_.scope().spawn(reread(std::move(resource->file), std::move(resource->name),
                                *std::move(defaults), ++generation_));
}

io::Task<void> AuthServer::reread(io::Fd file, std::string name, DirectoryDefaults defaults,
                                  uint64_t generation) {
  auto directory = co_await verifier_->read_directory(std::move(file), name, std::move(defaults));
  if (!directory) {
    role::log_error("reload-failed", {{"reason", directory.error().message}});
  } else if (generation == generation_) {
    install(*std::move(directory), name);
  }
}

void AuthServer::drain(uint32_t /*grace_ms*/, const std::string& /*text*/) {
  // Nothing of a client's is kept here; logins in progress are told UNAVAILABLE by their login.
  process_.drained();
}

std::string AuthServer::view() {
  return fmt::format(
      "auth: users={} logins={} tracker={} granted={} refused={} unavailable={} malformed={} "
      "hashed={} cache_hits={} cached={} hashes_waiting={}\n",
      verifier_->directory().file().users(), logins_, tracker_.linked() ? "linked" : "away",
      counters_.granted, counters_.refused, counters_.unavailable, counters_.malformed,
      verifier_->hashed_total(), verifier_->cache_hits_total(), verifier_->cached(),
      verifier_->queued());
}

}  // namespace dormouse::auth
