#pragma once
// DenDirectory: the dens, how full each says it is, and the handing over of a session to the
// emptiest that takes it.

#include <cstdint>
#include <string>
#include <vector>

#include "io/channel.h"
#include "io/loop.h"
#include "login/limits.h"
#include "wire/login_den.pb.h"

namespace dormouse::login {

class DenDirectory {
 public:
  explicit DenDirectory(io::Loop& loop) : loop_(loop) {}
  void set_patience_ms(uint64_t patience_ms) { patience_ms_ = patience_ms; }  // tests
  DenDirectory(const DenDirectory&) = delete;
  DenDirectory& operator=(const DenDirectory&) = delete;

  // Serves one link until it closes.
  io::Task<void> serve(uint32_t index, io::Channel channel);

  // Answers the den's index. The caller keeps the socket open until then and closes its copy
  // afterwards. Where a den is being started, or has no room in its channel for the moment, it
  // waits. kUnavailable: no den takes it; the socket is still the caller's to speak on.
  io::Task<Result<uint32_t>> hand_over(wire::LoginToDen message, int socket);

  std::string view() const;

 private:
  struct Den;
  enum class Attempt : uint8_t { kFull, kWait, kDone };
  Attempt try_hand_over(const std::string& bytes, int socket, uint32_t& index);
  io::Task<Result<uint32_t>> keep_trying(std::string bytes, int socket);

  io::Loop& loop_;
  uint64_t patience_ms_ = kPatienceMs;
  std::vector<Den*> dens_;  // in the frames of serve()
};

}  // namespace dormouse::login
