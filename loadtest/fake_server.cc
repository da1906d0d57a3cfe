#include "loadtest/fake_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>

#include "compress/deflate_stream.h"
#include "compress/inflate_stream.h"
#include "loadtest/clock.h"
#include "loadtest/response_scanner.h"
#include "tls/handshake.h"
#include "tls/record.h"
#include "tls/self_signed.h"

namespace dormouse::loadtest::test {

class FakeConnection {
 public:
  FakeConnection(FakeServer& server, io::Fd fd) : server_(server), fd_(std::move(fd)) {}

  void run() {
    if (server_.context_ != nullptr && !shake_hands()) return;
    send("* OK fake {7}\r\n");
    while (!server_.stopping_ && !closed_) {
      if (auto line = next_line()) {
        answer(*line);
      } else if (idle_tag_.empty() && !notify_) {
        continue;
      } else {
        tell_changes();
      }
    }
  }

 private:
  bool faulty(Fault fault) const {
    return server_.fault_ == fault && user_ == server_.faulty_user_;
  }

  bool shake_hands() {
    auto crypto = tls::RecordCrypto::create();
    auto handshake = tls::ServerHandshake::start(*server_.context_);
    if (!crypto || !handshake) return false;
    crypto_ = std::make_unique<tls::RecordCrypto>(std::move(*crypto));
    tls::Bytes output;
    while (handshake->state() == tls::HandshakeState::kNeedsMore && !server_.stopping_) {
      tls::Bytes input = receive();
      if (closed_) return false;
      if (input.empty()) continue;
      handshake->feed(input, output);
      send_wire(output);
      output.clear();
    }
    auto result = handshake->finish();
    if (!result) return false;
    engine_ = std::make_unique<tls::RecordEngine>(*crypto_, std::move(result->keys));
    wire_ = std::move(result->unread);
    return true;
  }

  // Waits 2 ms at most.
  tls::Bytes receive() {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, 2) <= 0) return {};
    tls::Bytes bytes(4096);
    ssize_t got = recv(fd_.get(), bytes.data(), bytes.size(), 0);
    closed_ = got <= 0;
    bytes.resize(got > 0 ? size_t(got) : 0);
    return bytes;
  }

  std::optional<std::string> next_line() {
    tls::append(wire_, receive());
    if (engine_) {
      tls::ByteSpan rest(wire_);
      tls::Bytes reply;
      for (;;) {
        tls::Opened opened = engine_->open(rest, reply);
        if (opened.event == tls::OpenEvent::kNeedMore) break;
        closed_ = closed_ || opened.event > tls::OpenEvent::kControl;
        if (closed_) return std::nullopt;
        hear(tls::as_text(opened.data));
        rest = rest.subspan(opened.consumed_bytes);
      }
      wire_ = tls::Bytes(rest.begin(), rest.end());
    } else {
      hear(tls::as_text(wire_));
      wire_.clear();
    }
    size_t end = text_.find("\r\n");
    if (end == std::string::npos) return std::nullopt;
    std::string line = text_.substr(0, end);
    text_.erase(0, end + 2);
    return line;
  }

  void send_wire(tls::ByteView bytes) {
    ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void hear(std::string_view bytes) {
    if (!inflate_) {
      text_ += bytes;
      return;
    }
    auto taken = inflate_->take(tls::as_bytes(bytes), text_, 1 << 20);
    EXPECT_EQ(taken.event, compress::InflateStream::Event::kNeedInput);
  }
  void send(std::string_view text) {
    tls::Bytes deflated;
    if (inflate_) {
      EXPECT_TRUE(deflate_.put(text, deflated));
      text = tls::as_text(deflated);
    }
    if (!engine_) return send_wire(tls::as_bytes(text));
    tls::Bytes sealed;
    EXPECT_TRUE(engine_->seal(tls::as_bytes(text), sealed));
    send_wire(sealed);
  }

  uint32_t count() const {
    std::error_code error;
    std::filesystem::directory_iterator files(server_.mail_ + "/" + user_ + "/new", error);
    uint32_t counted = 0;
    for (auto it = begin(files); it != end(files); it.increment(error)) ++counted;
    return counted;
  }

  void tell_changes() {
    bool late = faulty(Fault::kByeLater) && now_us() > idle_since_us_ + 2'000'000;
    if (faulty(Fault::kByeInIdle) || late) {
      send("* BYE enough\r\n");
      closed_ = true;
      return;
    }
    uint32_t now = count();
    if (faulty(Fault::kForeignExists) && !fault_done_) {
      fault_done_ = true;
      send(fmt::format("* {} EXISTS\r\n", now + 1));
    }
    if (now == exists_ || faulty(Fault::kNoExists)) return;
    exists_ = now;
    send(fmt::format("* {} EXISTS\r\n* 1 RECENT\r\n", now));
    if (faulty(Fault::kRepeatedExists)) send(fmt::format("* {} EXISTS\r\n", now));
  }

  void end_idle() {
    if (faulty(Fault::kCloseOnDone)) {
      closed_ = true;
    } else if (!faulty(Fault::kHangAfterDone)) {
      tell_changes();
      send(fmt::format("{} OK done\r\n", faulty(Fault::kWrongTag) ? "x" : idle_tag_));
    }
    idle_tag_.clear();
  }

  void answer(const std::string& line) {
    if (!idle_tag_.empty()) {
      EXPECT_EQ(line, "DONE");
      return end_idle();
    }
    std::string tag = line.substr(0, line.find(' '));
    std::string_view command = std::string_view(line).substr(std::min(tag.size() + 1, line.size()));
    if (begins_with_word(command, "LOGIN")) {
      user_ = command.substr(7, command.find('"', 7) - 7);
      bool refused = faulty(Fault::kRefuseLogin);
      if (!refused) ++server_.logins_;
      send(fmt::format("{} {}\r\n", tag, refused ? "NO wrong" : "OK [CAPABILITY IDLE] in"));
    } else if (command == "COMPRESS DEFLATE") {
      send(fmt::format("{} OK\r\n", tag));
      inflate_.emplace(*compress::InflateStream::create());
      ++server_.compressed_;
    } else if (begins_with_word(command, "SELECT")) {
      exists_ = count();
      send(fmt::format("* FLAGS ()\r\n* {} EXISTS\r\n* OK [UIDNEXT 1] x\r\n{} OK done\r\n", exists_,
                       tag));
    } else if (begins_with_word(command, "FETCH")) {
      send(fmt::format("* 1 FETCH (BODY[HEADER] {{13}}\r\n* 99 EXISTS\r\n FLAGS ())\r\n{} OK\r\n",
                       tag));
    } else if (begins_with_word(command, "NOOP")) {
      tell_changes();
      send(fmt::format("{} OK\r\n", tag));
    } else if (begins_with_word(command, "NOTIFY")) {
      notify_ = true;
      send(fmt::format("{} OK\r\n", tag));
    } else if (begins_with_word(command, "IDLE")) {
      idle_tag_ = tag;
      idle_since_us_ = now_us();
      send("* OK Still here\r\n+ idling\r\n");
    } else if (begins_with_word(command, "LOGOUT")) {
      send(fmt::format("* BYE\r\n{} OK\r\n", tag));
      closed_ = true;
    } else {
      send(fmt::format("{} OK\r\n", tag));
    }
  }

  FakeServer& server_;
  io::Fd fd_;
  std::unique_ptr<tls::RecordCrypto> crypto_;
  std::unique_ptr<tls::RecordEngine> engine_;
  std::optional<compress::InflateStream> inflate_;
  compress::DeflateStream deflate_;
  tls::Bytes wire_;
  std::string text_;
  std::string user_;
  std::string idle_tag_;
  uint32_t exists_ = 0;
  uint64_t idle_since_us_ = 0;
  bool closed_ = false;
  bool fault_done_ = false;
  bool notify_ = false;
};

FakeServer::FakeServer(std::string mail, bool tls, Fault fault, std::string faulty_user)
    : mail_(std::move(mail)), fault_(fault), faulty_user_(std::move(faulty_user)) {
  if (tls) {
    auto certificate = tls::make_self_signed({});
    EXPECT_TRUE(certificate);
    tls::ServerSettings settings;
    settings.certificates.push_back(std::move(*certificate));
    auto context = tls::ServerContext::create(std::move(settings));
    EXPECT_TRUE(context);
    contexts_.push_back(std::move(*context));
    context_ = &contexts_.back();
  }
  listener_ = io::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener_.get(), 128), 0);
  acceptor_ = std::thread([this] { accept_all(); });
}

FakeServer::~FakeServer() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
}

std::string FakeServer::target() const {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
}

void FakeServer::accept_all() {
  while (!stopping_) {
    pollfd ready{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, 5) <= 0) continue;
    io::Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) continue;
    connections_.emplace_back(
        [this, raw = fd.release()] { FakeConnection(*this, io::Fd(raw)).run(); });
  }
}

}  // namespace dormouse::loadtest::test
