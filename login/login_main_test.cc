// The role as a process: this test is its master, its auth and its den, and its clients are on
// 127.0.0.1.

#include "login/login_main.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ebpf/admission.h"
#include "ebpf/steering_shared.h"
#include "login/limits.h"
#include "role/test_master.h"
#include "wire/login_auth.pb.h"
#include "wire/login_den.pb.h"

namespace dormouse::login {
namespace {

class Client {
 public:
  explicit Client(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  void say(std::string_view text) {
    EXPECT_EQ(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size()));
  }
  // The next line with its end, or what came before the connection's end.
  std::string line() {
    std::string text;
    while (!text.ends_with('\n')) {
      pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&wait, 1, role::kPatienceMs) != 1) return text + "<silence>";
      char byte = 0;
      if (::recv(socket_.get(), &byte, 1, 0) <= 0) break;
      text += byte;
    }
    return text;
  }

 private:
  io::Fd socket_;
};

class LoginMain : public testing::Test {
 protected:
  void SetUp() override {
    listener_ = io::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener_.get(), 16), 0);
    socklen_t length = sizeof address;
    ASSERT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
    master_.fork_role(login_main);
  }
  void press(uint32_t level, const std::string& text) {
    wire::MasterToRole message;
    message.mutable_pressure()->set_level(level);
    message.mutable_pressure()->set_text(text);
    master_.tell(message);
  }
  // `extra`: a page that login gets beside the listener; stays the caller's.
  using Kind = wire::MasterToRole::Resource;
  void start(uint32_t max_connections, uint32_t per_address,
             std::optional<std::pair<Kind::Kind, int>> extra = {}) {
    wire::Settings settings;
    settings.set_log_level("error");
    auto* login = settings.mutable_login();
    login->set_max_connections(max_connections);
    login->set_max_connections_per_address(per_address);
    login->set_timeout_ms(timeout_ms_);
    login->set_max_attempts(3);
    settings.mutable_auth()->add_mechanisms("PLAIN");
    settings.mutable_pressure()->set_refuse_logins(true);
    master_.start(wire::LOGIN, settings);
    master_.give(Kind::LISTENER, "imap", listener_.get());
    if (extra) master_.give(extra->first, "", extra->second);
    master_.go();
  }

  uint32_t timeout_ms_ = 60'000;
  io::Fd listener_;
  uint16_t port_ = 0;
  role::TestMaster master_;
};

TEST_F(LoginMain, a_login_goes_through_auth_to_the_den) {
  start(100, 100);
  io::Channel auth = master_.link(wire::AUTH);
  io::Channel den = master_.link(wire::DEN);
  wire::DenToLogin load;
  load.mutable_load()->set_capacity(10);
  load.mutable_load()->set_accepting(true);
  ASSERT_TRUE(wire::try_send(den, load));
  Client client(port_);
  EXPECT_EQ(client.line().substr(0, 16), "* OK [CAPABILITY");
  client.say("t LOGIN anna secret\r\nu NOOP\r\n");
  auto asked = role::next_received<wire::LoginToAuth>(auth);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->message.start().initial_response(), std::string("\0anna\0secret", 12));
  EXPECT_EQ(asked->message.start().remote_address(), "127.0.0.1");
  wire::AuthToLogin granted;
  granted.mutable_granted()->set_request(asked->message.start().request());
  granted.mutable_granted()->set_grant(std::string(16, 'g'));
  ASSERT_TRUE(wire::try_send(auth, granted));
  auto handover = role::next_received<wire::LoginToDen>(den);
  ASSERT_TRUE(handover);
  ASSERT_EQ(handover->fd_count, 1u);
  EXPECT_EQ(handover->message.handover().pending_plain(), "u NOOP\r\n");
  EXPECT_EQ(handover->message.handover().local_port(), port_);
  // Inherited from the listener.
  for (auto [level, name] :
       {std::pair(int(IPPROTO_TCP), TCP_NODELAY), std::pair(int(SOL_SOCKET), SO_KEEPALIVE)}) {
    int value = 0;
    socklen_t length = sizeof value;
    EXPECT_EQ(::getsockopt(handover->fds[0].get(), level, name, &value, &length), 0);
    EXPECT_NE(value, 0);
  }
  const std::string_view answer = "t OK\r\n";
  EXPECT_EQ(::send(handover->fds[0].get(), answer.data(), answer.size(), 0), 6);
  EXPECT_EQ(client.line(), "t OK\r\n");
}

TEST_F(LoginMain, connections_of_an_address_are_bounded) {
  start(100, 2);
  Client first(port_);
  EXPECT_EQ(first.line().substr(0, 4), "* OK");
  {
    Client second(port_);
    EXPECT_EQ(second.line().substr(0, 4), "* OK");
    Client third(port_);
    EXPECT_EQ(third.line(), "* BYE Too many connections from your address\r\n");
    second.say("a LOGOUT\r\n");
    EXPECT_EQ(second.line().substr(0, 5), "* BYE");
    EXPECT_EQ(second.line().substr(0, 4), "a OK");
    EXPECT_EQ(second.line(), "") << "its place is free before the client sees the end";
  }
  Client fourth(port_);
  EXPECT_EQ(fourth.line().substr(0, 4), "* OK");
}

// Rates as the master gives them to a login that paces by itself.
struct Pacing {
  explicit Pacing(const ebpf::AdmissionRates& rates) {
    auto page = ebpf::make_page("test-rates", sizeof(admission_rates));
    EXPECT_TRUE(page);
    auto reading = ebpf::reading_end(*page);
    EXPECT_TRUE(reading);
    auto writing = ebpf::AdmissionControl::over(page->get());
    EXPECT_TRUE(writing);
    end = std::move(*reading);
    control = std::move(*writing);
    control->set_rates(rates);
  }
  io::Fd end;
  std::optional<ebpf::AdmissionControl> control;
};

TEST_F(LoginMain, where_it_paces_who_is_over_the_rate_is_greeted_when_the_rate_allows) {
  Pacing pacing({.per_second = 1, .burst = 2, .prefix_percent = 100});
  start(100, 100, std::pair(Kind::ADMISSION, pacing.end.get()));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(std::make_unique<Client>(port_));
  EXPECT_EQ(clients[0]->line().substr(0, 4), "* OK");
  EXPECT_THAT(master_.view(), testing::HasSubstr("pacing held="));
  pacing.control->set_rates({.per_second = 100'000, .burst = 100, .prefix_percent = 100});
  for (int i = 1; i < 10; ++i) EXPECT_EQ(clients[size_t(i)]->line().substr(0, 4), "* OK");
  EXPECT_THAT(master_.view(), testing::HasSubstr("pacing held=0"));
}

TEST_F(LoginMain, who_is_held_when_it_ends_hears_a_goodbye) {
  Pacing pacing({.per_second = 1, .burst = 2, .prefix_percent = 1});
  start(100, 100, std::pair(Kind::ADMISSION, pacing.end.get()));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(std::make_unique<Client>(port_));
  EXPECT_EQ(clients[0]->line().substr(0, 4), "* OK");
  master_.drain("Going down.");
  EXPECT_EQ(clients[4]->line().substr(0, 4), "* OK") << "the greeting, and at once";
  EXPECT_EQ(clients[4]->line(), "* BYE Server shutting down\r\n");
}

TEST_F(LoginMain, tells_how_long_its_queue_is) {
  auto page = ebpf::make_page("test-queue", sizeof(steering_queue));
  ASSERT_TRUE(page);
  auto queue = ebpf::Page<steering_queue>::map(page->get(), ebpf::PageUse::kWrite);
  ASSERT_TRUE(queue);
  ebpf::store_field((*queue)->given, uint32_t{77});
  start(100, 100, std::pair(Kind::QUEUE, page->get()));
  auto waiting = [&] { return ebpf::load_field((*queue)->waiting); };
  auto await = [&](uint32_t expected) {
    for (int i = 0; i < role::kPatienceMs && waiting() != expected; ++i) ::usleep(1000);
    return waiting();
  };
  {
    Client first(port_);
    EXPECT_EQ(first.line().substr(0, 4), "* OK");
    EXPECT_EQ(await(1), 1u);
    EXPECT_EQ(ebpf::load_field((*queue)->given), 0u) << "all that was sent is here";
    Client second(port_);
    EXPECT_EQ(second.line().substr(0, 4), "* OK");
    EXPECT_EQ(await(2), 2u);
    first.say("a LOGOUT\r\n");
    EXPECT_EQ(await(1), 1u);
  }
  EXPECT_EQ(await(0), 0u);
}

TEST_F(LoginMain, where_pressure_is_critical_a_new_connection_hears_why_it_is_refused) {
  start(100, 100);
  Client early(port_);
  EXPECT_EQ(early.line().substr(0, 4), "* OK");
  press(3, "The server is short of memory");
  EXPECT_NE(master_.view().find("pressure=critical"), std::string::npos);
  Client late(port_);
  EXPECT_EQ(late.line(), "* BYE [UNAVAILABLE] The server is short of memory, try again later\r\n");
  EXPECT_EQ(late.line(), "");
  early.say("a LOGIN anna secret\r\n");
  EXPECT_EQ(early.line(), "a NO [UNAVAILABLE] The server is short of memory, try again later\r\n");
  press(99, "of a later release");  // the highest
  EXPECT_NE(master_.view().find("pressure=critical refused_connections=1 "), std::string::npos);
  press(2, "");
  EXPECT_NE(master_.view().find("pressure=pressed"), std::string::npos);
  Client calm(port_);
  EXPECT_EQ(calm.line().substr(0, 4), "* OK");
}

TEST_F(LoginMain, the_oldest_makes_room_for_the_newest) {
  timeout_ms_ = 8'000;  // a quarter of it is old
  start(2, 100);
  Client first(port_);
  EXPECT_EQ(first.line().substr(0, 4), "* OK");
  Client second(port_);
  EXPECT_EQ(second.line().substr(0, 4), "* OK");
  Client third(port_);
  EXPECT_EQ(third.line().substr(0, 4), "* OK");
  EXPECT_EQ(first.line(), "* BYE Too many connections\r\n");
  second.say("a NOOP\r\n");
  EXPECT_EQ(second.line(), "a OK Noop completed\r\n");
  EXPECT_NE(master_.view().find("evicted=1 "), std::string::npos);
}

TEST_F(LoginMain, of_those_who_just_came_only_so_many_are_in_hand) {
  start(100, 100);
  std::vector<std::unique_ptr<Client>> clients;
  for (unsigned i = 0; i < kYoungLeast + 8; ++i) {  // the others are in the listener's queue
    clients.push_back(std::make_unique<Client>(port_));
  }
  for (const auto& client : clients) {
    const std::string view = master_.view();
    const size_t at = view.find(" in_hand=");
    ASSERT_NE(at, std::string::npos);
    EXPECT_LE(std::stoul(view.substr(at + strlen(" in_hand="))), kYoungLeast);
    EXPECT_EQ(client->line().substr(0, 4), "* OK") << "also who waits for the others to get old";
  }
  EXPECT_THAT(master_.view(), testing::HasSubstr("evicted=0 "));
}

TEST_F(LoginMain, tells_how_every_connection_ended) {
  timeout_ms_ = 4'000;  // a quarter of it is old
  start(4, 100);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(port_));
    EXPECT_EQ(clients.back()->line().substr(0, 4), "* OK");
  }
  Client newest(port_);
  EXPECT_EQ(newest.line().substr(0, 4), "* OK") << "the first of them had to go";
  clients[1]->say("a LOGOUT\r\n");
  clients[2].reset();
  for (unsigned i = 0; i < kBadCommandsMax; ++i) clients[3]->say("a NONSENSE\r\n");
  std::string view;
  for (int i = 0; i < role::kPatienceMs && !view.contains("connections=1 "); ++i) {
    ::usleep(1000);
    view = master_.view();
  }
  EXPECT_THAT(view, testing::HasSubstr("accepted=5 "));
  EXPECT_THAT(view,
              testing::HasSubstr("ended left=2 dismissed=1 timed_out=0 sent_away=1 trouble=0\n"));
  EXPECT_EQ(newest.line(), "* BYE Login timed out\r\n");
  EXPECT_THAT(master_.view(), testing::HasSubstr(" timed_out=1 "));
}

TEST_F(LoginMain, a_drain_says_goodbye_to_all) {
  start(100, 100);
  Client first(port_), second(port_);
  EXPECT_EQ(first.line().substr(0, 4), "* OK");
  EXPECT_EQ(second.line().substr(0, 4), "* OK");
  master_.drain("See you");
  EXPECT_EQ(first.line(), "* BYE See you\r\n");
  EXPECT_EQ(second.line(), "* BYE See you\r\n");
  master_.expect_drained();
}

TEST_F(LoginMain, an_end_of_the_master_ends_it) {
  start(100, 100);
  Client client(port_);
  EXPECT_EQ(client.line().substr(0, 4), "* OK");
  master_.control().close();
  master_.expect_exit();
}

}  // namespace
}  // namespace dormouse::login
