#pragma once
// From the CERTIFICATE resources of the master to a tls::ServerContext.

#include <memory>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "role/process.h"
#include "tls/server_context.h"
#include "wire/settings.pb.h"

namespace dormouse::login {

// The chain and the key of one PEM text that holds both.
Result<tls::Certificate> split_pem(std::string_view pem);

// Null when there are no certificates: no TLS then. `ticket_secret`: TicketKey::kBytes, or empty
// for none. The resources' PEM texts are wiped.
Result<std::unique_ptr<tls::ServerContext>> make_context(std::vector<role::Resource> resources,
                                                         const wire::Settings::Tls& settings,
                                                         std::string_view ticket_secret);

}  // namespace dormouse::login
