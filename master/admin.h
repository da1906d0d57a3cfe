#pragma once
// Admin: what an administrator's commands ask of a running server, on <base_dir>/admin.sock
// (wire/admin.proto). Only the server's own user and root may connect.

#include <string>

#include "io/channel.h"
#include "io/loop.h"
#include "master/supervisor.h"

namespace dormouse::master {

// Commands at once; further ones wait in the socket's queue.
inline constexpr int kAdminsMax = 4;
// A command says what it wants as soon as it is connected.
inline constexpr uint64_t kAdminMsMax = 5'000;

std::string admin_socket_path(const std::string& base_dir);

class Admin {
 public:
  Admin(io::Loop& loop, Supervisor& supervisor) : loop_(loop), supervisor_(supervisor) {}

  // Until the scope is cancelled. A socket that cannot be made is logged: the server runs without.
  io::Task<void> serve(std::string base_dir);

 private:
  io::Task<void> talk(io::Channel channel);
  io::Task<void> record(io::Channel& channel);

  io::Loop& loop_;
  Supervisor& supervisor_;
  int talking_ = 0;
  bool recording_ = false;
};

}  // namespace dormouse::master
