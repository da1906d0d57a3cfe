#pragma once
// Small helpers around OpenSSL's objects and its error queue; for this room's .cc files only.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

namespace dormouse::tls {

// unique_ptr's deleter out of a free function of OpenSSL.
template <auto Free>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;

// The reason of the oldest entry in this thread's error queue, which is emptied; `otherwise` when
// there is none.
std::string take_openssl_error(std::string_view otherwise);

}  // namespace dormouse::tls
