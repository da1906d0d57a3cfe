#pragma once
// LoginServer: the role object of login. It takes connections from the listeners, serves them in
// their turn (ArrivalGate; server_arrivals.cc) as far as there is room (OpenConnections) and for a
// bounded time, and keeps what they share.

#include <memory>
#include <string>
#include <vector>

#include "ebpf/admission.h"
#include "ebpf/steering.h"
#include "io/fd.h"
#include "login/arrival_gate.h"
#include "login/connection.h"
#include "login/open_connections.h"
#include "login/services.h"
#include "role/process.h"

namespace dormouse::login {

class LoginServer final : public role::Role {
 public:
  // Listeners and certificates are taken from the process. The error names what is missing.
  static Result<std::unique_ptr<LoginServer>> create(role::Process& process);

  Result<> start() override;
  void link(role::Link link) override;
  void reload() override;
  void pressure(tuning::Pressure level, const std::string& text) override;
  void drain(uint32_t grace_ms, const std::string& text) override;
  std::string view() override;

 private:
  struct Listener {
    io::Fd socket;
    uint16_t port = 0;
    bool implicit_tls = false;
  };
  struct Served;  // in the frame of serve()

  LoginServer(role::Process& process, tls::RecordCrypto crypto);
  void take_policy();
  Result<> take_listeners();
  Result<> take_certificates();
  Result<> take_admission();
  io::Task<void> accept_everywhere();
  io::Task<void> accept_all(const Listener* listener);
  // False: nothing more to be taken now.
  bool accept_one(const Listener& listener, int& error);
  // A connection has come: it is served, or held until its turn.
  void arrived(Arrival arrival);
  io::Task<void> watch_arrivals();
  bool serve_held(const admission_rates& rates, uint64_t now_ns);
  void give_up_held();
  void tell_queue(bool emptied);
  std::string pacing_view() const;
  void welcome(Arrival arrival);
  bool refuse(const Arrival& arrival);
  void pace();
  bool may_accept() { return gate_.has_room() && has_room(); }
  bool has_room() { return open_.has_room(process_.loop().now_ms()); }
  bool admit(const Arrival& arrival);
  io::Task<void> serve(Arrival arrival, uint64_t number);
  io::Task<void> refuse_in_tls(Arrival arrival);
  io::Task<void> finish_drain();

  role::Process& process_;
  Services services_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  io::Scope* accepting_ = nullptr;  // in the frame of accept_everywhere()
  OpenConnections open_;
  uint32_t refusing_ = 0;                  // beside them: shaking hands to be told BYE
  std::unique_ptr<io::Event> all_closed_;  // drain waits for it
  bool filtered_ = false;                  // the kernel paces: what is accepted has its filter
  ebpf::Page<admission_rates> rates_;      // we pace, by these
  ArrivalGate gate_;
  io::Event watching_;  // set while watch_arrivals() has something to do
  ebpf::QueueReport queue_;
  bool draining_ = false;
};

}  // namespace dormouse::login
