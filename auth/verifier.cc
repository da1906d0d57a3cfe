#include "auth/verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dormouse::auth {
namespace {

struct CheckJob final : HashPool::Job {
  std::shared_ptr<const UserDirectory> directory;  // `stored` is a view into it
  StoredPassword stored;
  io::Secret password;
  PasswordCheck result = PasswordCheck::kUnusable;
  void run() override { result = auth::check_password(stored, password.view()); }
};

struct ScramJob final : HashPool::Job {
  std::shared_ptr<ScramServer> server;
  io::Secret input;
  ScramServer::Outcome outcome = ScramServer::Outcome::kMalformed;
  std::string output;
  void run() override { outcome = server->step(input.view(), output); }
};

struct ReadJob final : HashPool::Job {
  io::Fd file;
  std::string name;
  DirectoryDefaults defaults;
  Result<std::shared_ptr<const UserDirectory>> result = fail(ErrorKind::kCancelled, "not read");
  void run() override {
    auto text = read_passwd_file(file.get(), name);
    if (!text) {
      result = std::unexpected(text.error());
    } else {
      result = UserDirectory::parse(*std::move(text), defaults);
    }
  }
};

Verdict verdict(Verdict::Kind kind, std::string user, std::string why) {
  Verdict made;
  made.kind = kind;
  made.user = std::move(user);
  made.why = std::move(why);
  return made;
}

}  // namespace

Verifier::Verifier(io::Loop& loop, std::unique_ptr<ScramLibrary> library, const DecoyKey& key,
                   SuccessCache cache)
    : loop_(loop), library_(std::move(library)), key_(key), cache_(std::move(cache)), pool_(loop) {}

Result<std::unique_ptr<Verifier>> Verifier::create(io::Loop& loop, std::string_view secret,
                                                   const wire::Settings::Auth& settings) {
  auto library = ScramLibrary::create();
  if (!library) return std::unexpected(library.error());
  auto key = DecoyKey::create(secret);
  if (!key) return std::unexpected(key.error());
  auto cache = SuccessCache::create(settings.cache_entries(), settings.cache_ttl_ms());
  if (!cache) return std::unexpected(cache.error());
  return std::unique_ptr<Verifier>(
      new Verifier(loop, *std::move(library), *key, *std::move(cache)));
}

Result<> Verifier::start(io::Scope& scope, const wire::Settings::Auth& settings) {
  return pool_.start(scope, std::max(settings.hash_threads(), 1u));
}

void Verifier::set_directory(std::shared_ptr<const UserDirectory> directory,
                             const wire::Settings::Auth& settings) {
  DORMOUSE_CHECK(directory, "there is always a directory");
  directory_ = std::move(directory);
  cache_.resize(settings.cache_entries(), settings.cache_ttl_ms());
}

io::Task<Result<std::shared_ptr<const UserDirectory>>> Verifier::read_directory(
    io::Fd file, std::string name, DirectoryDefaults defaults) {
  auto job = std::make_shared<ReadJob>();
  job->file = std::move(file);
  job->name = std::move(name);
  job->defaults = std::move(defaults);
  Result<void> ran = co_await pool_.run(job);
  if (!ran) co_return std::unexpected(ran.error());
  co_return std::move(job->result);
}

Verdict Verifier::admit(std::string user, const std::string& remote_address) const {
  auto found = directory_->find(user);
  if (!found) {
    // A user whose home cannot be told is the operator's mistake, and not a wrong password.
    const bool absent = found.error().kind == ErrorKind::kNotFound;
    return verdict(absent ? Verdict::Kind::kRefused : Verdict::Kind::kUnavailable, std::move(user),
                   found.error().message);
  }
  const PasswdEntry& entry = found->entry;
  if (entry.nologin) return verdict(Verdict::Kind::kRefused, std::move(user), "nologin");
  if (!entry.allow_nets.empty() && !address_in_nets(remote_address, entry.allow_nets)) {
    return verdict(Verdict::Kind::kRefused, std::move(user), "not from this address");
  }
  Verdict accepted = verdict(Verdict::Kind::kAccepted, std::move(user), "");
  accepted.identity = std::move(found->identity);
  accepted.limits = std::move(found->limits);
  return accepted;
}

io::Task<Verdict> Verifier::check_password(PasswordLogin login, std::string remote_address) {
  const std::string name = canonical_user(login.user);
  const SuccessCache::Digest digest = cache_.digest(name, login.password.view());
  if (cache_.contains(digest, loop_.now_ms())) {
    ++cache_hits_total_;
    co_return admit(std::move(login.user), remote_address);
  }

  auto job = std::make_shared<CheckJob>();
  job->directory = directory_;
  const PasswdFile& file = directory_->file();
  const auto entry = file.find(name);
  const auto stored = entry ? split_stored(entry->secret, file.default_scheme()) : std::nullopt;
  const bool known = stored && !stored->data.empty();
  // A name without a password takes as long as one with a wrong password.
  job->stored = known ? *stored : file.decoy();
  job->password = std::move(login.password);
  Result<void> ran = co_await pool_.run(job);
  if (!ran) {
    co_return verdict(Verdict::Kind::kUnavailable, std::move(login.user), ran.error().message);
  }
  ++hashed_total_;
  if (!known) {
    co_return verdict(Verdict::Kind::kRefused, std::move(login.user),
                      entry ? "no password" : "unknown user");
  }
  switch (job->result) {
    case PasswordCheck::kMismatch:
      co_return verdict(Verdict::Kind::kRefused, std::move(login.user), "wrong password");
    case PasswordCheck::kUnusable:
      co_return verdict(Verdict::Kind::kRefused, std::move(login.user),
                        "the stored password cannot be used");
    case PasswordCheck::kMatch:
      break;
  }
  // What was right by the old file may be wrong by the new one.
  if (job->directory != directory_) {
    co_return verdict(Verdict::Kind::kUnavailable, std::move(login.user), "users were reloaded");
  }
  cache_.insert(digest, loop_.now_ms());
  co_return admit(std::move(login.user), remote_address);
}

Result<std::shared_ptr<ScramServer>> Verifier::start_scram() {
  return ScramServer::start(*library_, [directory = directory_, key = key_](std::string_view user) {
    return scram_secret_of(*directory, key, user);
  });
}

io::Task<Verdict> Verifier::step_scram(std::shared_ptr<ScramServer> server, io::Secret input,
                                       std::string remote_address) {
  auto job = std::make_shared<ScramJob>();
  job->server = std::move(server);
  job->input = std::move(input);
  Result<void> ran = co_await pool_.run(job);
  if (!ran) co_return verdict(Verdict::Kind::kUnavailable, "", ran.error().message);
  std::string user = job->server->user();
  switch (job->outcome) {
    case ScramServer::Outcome::kMalformed:
      co_return verdict(Verdict::Kind::kMalformed, std::move(user), "malformed SCRAM message");
    case ScramServer::Outcome::kMismatch:
      co_return verdict(Verdict::Kind::kRefused, std::move(user), "wrong proof or unknown user");
    case ScramServer::Outcome::kChallenge: {
      Verdict challenge = verdict(Verdict::Kind::kChallenge, std::move(user), "");
      challenge.output = std::move(job->output);
      co_return challenge;
    }
    case ScramServer::Outcome::kDone:
      break;
  }
  Verdict admitted = admit(std::move(user), remote_address);
  admitted.output = std::move(job->output);
  co_return admitted;
}

}  // namespace dormouse::auth
