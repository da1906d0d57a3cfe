#pragma once
// LoginServer: the role object of login. It takes connections from the listeners, bounds them (in
// all, per address, in time), paces them where the kernel does not (server_arrivals.cc), and keeps
// what they share.

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ebpf/admission.h"
#include "ebpf/steering.h"
#include "io/fd.h"
#include "login/accept_pacer.h"
#include "login/connection.h"
#include "login/peer_address.h"
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
  // Accepted, not served yet.
  struct Arrival {
    io::Fd socket;
    PeerAddress peer;
    uint16_t local_port = 0;
    bool implicit_tls = false;
  };
  struct Open {
    Connection* connection = nullptr;  // in the frame of serve()
    io::Scope* scope = nullptr;
    uint64_t since_ms = 0;
    std::string last_word;  // the BYE, when it is cancelled
  };

  using OpenConnections = std::map<uint64_t, Open>;  // by age

  LoginServer(role::Process& process, tls::RecordCrypto crypto);
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
  bool refuse(const io::Fd& socket, bool implicit_tls);
  void pace();
  bool admit(const PeerAddress& peer, const io::Fd& socket, bool implicit_tls);
  // Whether one more may come: there is room, or somebody who can make it.
  bool has_room();
  OpenConnections::iterator evictable();
  // Behind with those who are open: whoever is served now makes all of them wait for longer, until
  // they give up. They are let in one by one until it has caught up.
  bool lags() const { return lag_ms_ > kLagMsMax; }
  bool may_accept() { return pacer_.has_room() && has_room(); }
  io::Task<void> serve(io::Fd socket, PeerAddress peer, uint16_t local_port, bool implicit_tls);
  io::Task<void> refuse_in_tls(io::Fd socket, PeerAddress peer, uint16_t local_port);
  void close(uint64_t serial, std::string last_word);
  io::Task<void> finish_drain();

  role::Process& process_;
  Services services_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  io::Scope* accepting_ = nullptr;  // in the frame of accept_everywhere()
  OpenConnections open_;
  uint64_t next_serial_ = 1;
  uint32_t refusing_ = 0;  // of open_: shaking hands to be told BYE
  std::unordered_map<AddressKey, uint32_t, AddressKeyHash> per_address_;  // of open_
  std::unique_ptr<io::Event> all_closed_;                                 // drain waits for it
  bool filtered_ = false;              // the kernel paces: what is accepted has its filter
  ebpf::Page<admission_rates> rates_;  // we pace, by these
  AcceptPacer pacer_;
  std::map<uint64_t, Arrival> held_;  // by the pacer's number
  uint64_t next_arrival_ = 1;
  io::Event watching_;   // set while watch_arrivals() has something to do
  uint64_t lag_ms_ = 0;  // by so much a turn of the loop was late
  ebpf::QueueReport queue_;
  bool draining_ = false;
};

}  // namespace dormouse::login
