#pragma once
// FakeServer: a small IMAP server for tests of the load tester, a thread for each connection. It
// knows LOGIN, COMPRESS, SELECT, FETCH, NOOP, IDLE, NOTIFY and LOGOUT, counts the files in a
// Maildir's new/, and can be told to be wrong in one way, since a tester that never finds anything
// wrong proves nothing.

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/fd.h"
#include "tls/server_context.h"

namespace dormouse::loadtest::test {

enum class Fault {
  kNone,
  kRefuseLogin,
  kNoExists,        // never tells of a delivery
  kRepeatedExists,  // tells twice
  kForeignExists,   // tells of a message that nobody delivered
  kCloseOnDone,
  kHangAfterDone,
  kWrongTag,
  kByeInIdle,
  kByeLater,  // once it idled for two seconds
};

class FakeServer {
 public:
  // `mail`: the folder with USER/new. The fault strikes user `faulty_user` only.
  FakeServer(std::string mail, bool tls, Fault fault = Fault::kNone,
             std::string faulty_user = "u1");
  ~FakeServer();
  std::string target() const;
  int logins() const { return logins_; }
  int compressed() const { return compressed_; }

 private:
  friend class FakeConnection;
  void accept_all();

  std::string mail_;
  Fault fault_;
  std::string faulty_user_;
  tls::ServerContext* context_ = nullptr;
  std::vector<tls::ServerContext> contexts_;
  io::Fd listener_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> logins_ = 0;
  std::atomic<int> compressed_ = 0;
  std::vector<std::thread> connections_;  // of the accepting thread, until it has ended
  std::thread acceptor_;
};

}  // namespace dormouse::loadtest::test
