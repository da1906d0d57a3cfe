#pragma once
// AuthServer: the role object of auth. It owns the verifier and the links, and reads the
// passwd-file: at the start before the sandbox, later from the descriptor that comes with a reload.

#include <memory>
#include <string>
#include <vector>

#include "auth/login_link.h"
#include "auth/tracker_link.h"
#include "auth/verifier.h"
#include "role/process.h"

namespace dormouse::auth {

class AuthServer final : public role::Role {
 public:
  // Reads the first passwd-file. The error names what is missing.
  static Result<std::unique_ptr<AuthServer>> create(role::Process& process);

  Result<> start() override;
  void link(role::Link link) override;
  void reload() override;
  void drain(uint32_t grace_ms, const std::string& text) override;
  std::string view() override;

 private:
  AuthServer(role::Process& process, std::unique_ptr<Verifier> verifier);
  void set_mechanisms();
  void install(std::shared_ptr<const UserDirectory> directory, std::string_view name);
  io::Task<void> serve_login(uint32_t index, io::Channel channel);
  io::Task<void> reread(io::Fd file, std::string name, DirectoryDefaults defaults,
                        uint64_t generation);

  role::Process& process_;
  std::unique_ptr<Verifier> verifier_;
  TrackerLink tracker_;
  std::vector<Mechanism> mechanisms_;
  LoginCounters counters_;
  unsigned logins_ = 0;
  uint64_t generation_ = 0;  // of the passwd-file: an older one that is read slowly is dropped
};

}  // namespace dormouse::auth
