#include "login/certificates.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/secret.h"

namespace dormouse::login {

Result<tls::Certificate> split_pem(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kEnd = "-----END ";
  tls::Certificate certificate;
  size_t key_bytes = 0;
  // Two passes, so that the key is written into memory of its final size.
  for (const bool fill : {false, true}) {
    if (fill) certificate.key_pem.reserve(key_bytes);
    for (size_t at = pem.find(kBegin); at != std::string_view::npos;) {
      size_t end = pem.find(kEnd, at);
      if (end == std::string_view::npos) return fail(ErrorKind::kInvalid, "PEM without an end");
      end = std::min(pem.find('\n', end), pem.size() - 1) + 1;
      const std::string_view block = pem.substr(at, end - at);
      const bool is_key =
          block.substr(0, block.find('\n')).find("PRIVATE KEY") != std::string_view::npos;
      if (is_key && fill) certificate.key_pem += block;
      if (is_key) key_bytes += block.size();
      if (!is_key && fill) certificate.chain_pem += block;
      at = pem.find(kBegin, end);
    }
  }
  if (certificate.chain_pem.empty()) return fail(ErrorKind::kInvalid, "PEM without a certificate");
  if (certificate.key_pem.empty()) return fail(ErrorKind::kInvalid, "PEM without a private key");
  return certificate;
}

Result<std::unique_ptr<tls::ServerContext>> make_context(std::vector<role::Resource> resources,
                                                         const wire::Settings::Tls& settings,
                                                         std::string_view ticket_secret) {
  tls::ServerSettings server;
  for (role::Resource& resource : resources) {
    auto certificate = split_pem(resource.message.data());
    io::wipe(*resource.message.mutable_data());
    const std::string& name = resource.message.name();
    if (!certificate) {
      return fail(ErrorKind::kInvalid,
                  fmt::format("certificate \"{}\": {}", name, certificate.error().message));
    }
    // The first is the default.
    const auto place = name.empty() ? server.certificates.begin() : server.certificates.end();
    if (!name.empty()) certificate->names.push_back(name);
    server.certificates.insert(place, *std::move(certificate));
  }
  if (server.certificates.empty()) return std::unique_ptr<tls::ServerContext>();
  if (settings.minimum_version() == "1.3") server.version_min = tls::Version::kTls13;
  if (!ticket_secret.empty()) {
    auto key = tls::TicketKey::from(tls::as_bytes(ticket_secret));
    if (!key) return std::unexpected(key.error());
    server.ticket_key = *key;
  }
  auto context = tls::ServerContext::create(std::move(server));
  if (!context) return std::unexpected(context.error());
  return std::make_unique<tls::ServerContext>(*std::move(context));
}

}  // namespace dormouse::login
