#include "tls/self_signed.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/fd.h"
#include "tls/openssl_util.h"

namespace dormouse::tls {
namespace {

constexpr unsigned kRsaBits = 2048;
constexpr unsigned kValidDaysMax = 36500;
constexpr size_t kCommonNameBytesMax = 64;  // RFC 5280, ub-common-name
constexpr long kClockSkewS = 3600;          // valid from an hour ago, for clients with a slow clock
constexpr size_t kNamesMax = 100;

// Only characters of host names, wildcards and addresses: OpenSSL's extension syntax has others.
bool plain_name(const std::string& name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '*' || c == ':' || c == '_';
  });
}

bool is_address(const std::string& name) {
  using OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, OpensslFree<ASN1_OCTET_STRING_free>>;
  const OctetsPtr address(a2i_IPADDRESS(name.c_str()));
  ERR_clear_error();
  return address != nullptr;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, certificate, certificate, nullptr, nullptr, 0);
  using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>>;
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate) {
  // RFC 5280 4.1.2.2: positive, at most 20 octets; 16 random ones do not meet again.
  std::array<unsigned char, 16> number{};
  if (RAND_bytes(number.data(), static_cast<int>(number.size())) != 1) return false;
  number[0] = static_cast<unsigned char>((number[0] & 0x7f) | 0x40);
  using NumberPtr = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
  const NumberPtr serial(BN_bin2bn(number.data(), static_cast<int>(number.size()), nullptr));
  return serial && BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool fill(X509* certificate, EVP_PKEY* key, const SelfSignedSettings& settings) {
  std::string sans;
  for (const std::string& name : settings.names) {
    sans += fmt::format("{}{}:{}", sans.empty() ? "" : ",", is_address(name) ? "IP" : "DNS", name);
  }
  const std::string common_name = settings.names.front().substr(0, kCommonNameBytesMax);
  X509_NAME* subject = X509_get_subject_name(certificate);
  return X509_set_version(certificate, X509_VERSION_3) == 1 && set_random_serial(certificate) &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -kClockSkewS) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), static_cast<int>(settings.valid_days), 0,
                          nullptr) != nullptr &&
         X509_set_pubkey(certificate, key) == 1 &&
         X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                    octets(as_bytes(common_name)),
                                    static_cast<int>(common_name.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, subject) == 1 &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
         add_extension(certificate, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
         add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, NID_subject_alt_name, sans) &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

Result<> write_new_file(const std::string& path, std::string_view text) {
  const io::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, "create " + path);
  while (!text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      ::unlink(path.c_str());
      return fail_errno(error, "write " + path);
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  if (::fsync(fd.get()) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return fail_errno(error, "fsync " + path);
  }
  return {};
}

}  // namespace

Result<Certificate> make_self_signed(const SelfSignedSettings& settings) {
  ERR_clear_error();
  if (settings.names.empty() || settings.names.size() > kNamesMax ||
      !std::ranges::all_of(settings.names, plain_name)) {
    return fail(ErrorKind::kInvalid, "self-signed certificate: needs host names or addresses");
  }
  if (settings.valid_days == 0 || settings.valid_days > kValidDaysMax) {
    return fail(ErrorKind::kInvalid, "self-signed certificate: valid_days out of range");
  }
  const PkeyPtr key(settings.key_kind == KeyKind::kEcdsaP256 ? EVP_EC_gen("P-256")
                                                             : EVP_RSA_gen(kRsaBits));
  const X509Ptr certificate(X509_new());
  const BioPtr chain_bio(BIO_new(BIO_s_mem()));
  const BioPtr key_bio(BIO_new(BIO_s_secmem()));
  if (!key || !certificate || !chain_bio || !key_bio ||
      !fill(certificate.get(), key.get(), settings) ||
      PEM_write_bio_X509(chain_bio.get(), certificate.get()) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_bio.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1) {
    return fail(ErrorKind::kSystem,
                "self-signed certificate: " + take_openssl_error("OpenSSL refused"));
  }
  Certificate made;
  made.chain_pem = text_of(chain_bio.get());
  made.key_pem = text_of(key_bio.get());
  return made;
}

Result<> write_self_signed(const SelfSignedSettings& settings, const std::string& chain_path,
                           const std::string& key_path) {
  const Result<Certificate> certificate = make_self_signed(settings);
  if (!certificate) return std::unexpected(certificate.error());
  // The key first: a certificate without its key would block the next attempt for nothing.
  if (Result<> written = write_new_file(key_path, certificate->key_pem); !written) return written;
  if (Result<> written = write_new_file(chain_path, certificate->chain_pem); !written) {
    ::unlink(key_path.c_str());
    return written;
  }
  return {};
}

}  // namespace dormouse::tls
