// Whether the files that the settings name can be used.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "hibernate/watch/notice_sockets.h"
#include "io/channel.h"
#include "io/fd.h"
#include "master/settings.h"
#include "tls/server_context.h"

namespace dormouse::master {
namespace {

// A certificate travels to login in one message: the chain, the key and the envelope.
constexpr size_t kCertificateMessageBytesMax = io::kMaxMessageBytes - 1024;

Result<> check_certificate(const CertificateFiles& files) {
  auto loaded = tls::Certificate::load(files.certificate, files.key);
  if (!loaded) return std::unexpected(loaded.error());
  if (loaded->chain_pem.size() + loaded->key_pem.size() > kCertificateMessageBytesMax) {
    return fail(ErrorKind::kLimit, fmt::format("{} and its key are longer than {} bytes together",
                                               files.certificate, kCertificateMessageBytesMax));
  }
  tls::ServerSettings settings;
  settings.certificates.push_back(std::move(*loaded));
  // Making a context is the check: OpenSSL compares certificate and key.
  auto context = tls::ServerContext::create(std::move(settings));
  if (!context) {
    return fail(ErrorKind::kInvalid, fmt::format("{} with key {}: {}", files.certificate, files.key,
                                                 context.error().message));
  }
  return {};
}

}  // namespace

std::string notice_socket_of(const Settings& settings) {
  if (settings.notice_access == "nobody") return {};
  return settings.notice_socket.empty() ? settings.base_dir + "/notices" : settings.notice_socket;
}

Result<> check_named_files(const Settings& settings) {
  std::string complaints;
  auto complain = [&](const std::string& origin_key, const std::string& key,
                      const std::string& reason) {
    auto found = settings.origins.find(origin_key);
    complaints +=
        fmt::format("{}{}: {}: {}", complaints.empty() ? "" : "\n",
                    found != settings.origins.end() ? found->second : settings.file, key, reason);
  };
  for (size_t i = 0; i < settings.certificates.size(); ++i) {
    auto checked = check_certificate(settings.certificates[i]);
    if (checked) continue;
    std::string key = i == 0 ? "tls.certificate" : "tls.sni.certificate";
    complain(i == 0 ? key : fmt::format("tls.sni.{}.certificate", i), key, checked.error().message);
  }
  const std::string& passwd = settings.wire.auth().passwd_file();
  io::Fd fd(::open(passwd.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!fd) {
    complain("auth.passwd_file", "auth.passwd_file", fail_errno(errno, passwd).error().message);
  } else if (fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    complain("auth.passwd_file", "auth.passwd_file", passwd + ": no regular file");
  }
  if (!settings.notice_listen.empty()) {
    auto key = hibernate::load_notice_key(settings.notice_key_file);
    if (!key) complain("watch.notice_key", "watch.notice_key", key.error().message);
  }
  if (!complaints.empty()) return fail(ErrorKind::kInvalid, complaints);
  return {};
}

}  // namespace dormouse::master
