#pragma once
// What the roles work with and what outlives each of them: made once, lent to every process that
// takes a role over.

#include <string>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "io/secret.h"
#include "master/admission.h"
#include "master/listeners.h"
#include "master/settings.h"
#include "master/shards.h"
#include "tls/server_context.h"
#include "wire/control.pb.h"

namespace dormouse::master {

// As control.proto wants it, for one name.
struct CertificateResource {
  std::string name;
  io::Secret pem;  // chain, then key
};

// A socket for docs/change-notices.md; `name` as in control.proto.
struct NoticeResource {
  std::string name;
  io::Fd fd;
};

struct Resources {
  bool privileged = false;      // roles change root directory and user
  std::string empty_directory;  // their root directory
  std::vector<Listener> listeners;
  Admission admission;
  LoginSteering steering;
  std::vector<Shard> shards;
  io::Fd change_group;          // fanotify; none: see the reason
  std::string change_stores;    // control.proto's Stores, for that group
  std::string no_change_group;  // why the watch must do without; empty: it was not wanted
  std::vector<NoticeResource> notices;
  io::Secret notice_key;  // for those from other machines
  io::Fd epochs;          // the tracker's
  io::Secret ticket_key;  // tls::TicketKey, for all logins
  io::Secret cookie_key;  // the tracker's HMAC key
  std::vector<CertificateResource> certificates;
  std::string clean_boots;  // store/boots.h; for the workers
};

inline constexpr size_t kCookieKeyBytes = 32;  // as long as the digest of HMAC-SHA-256

// Everything but the certificates' text, which load_certificates() reads. Fills in what the
// settings leave to the machine: shards, sockets per shard, login processes.
Result<Resources> make_resources(Settings& settings, bool privileged, uint64_t open_files);
// The ledger of store/boots.h.
std::string clean_boots_path(const Settings& settings);
Result<std::vector<CertificateResource>> load_certificates(const Settings& settings);

// What the machine decides: settings.wire as the roles get it. Also after a reload.
Result<> complete_settings(Settings& settings, bool privileged, uint64_t open_files);

// A message of the introduction, with its descriptor if it has one.
struct Introduction {
  wire::MasterToRole message;
  io::Fd fd;
};
// The Resources of a role, in order. kSystem when the passwd-file cannot be opened (now).
Result<std::vector<Introduction>> resources_for(const Resources& resources,
                                                const Settings& settings, wire::Role role,
                                                uint32_t index);
// Those that change with a reload: certificates for login, the passwd-file for auth.
Result<std::vector<Introduction>> reloaded_resources_for(const Resources& resources,
                                                         const Settings& settings, wire::Role role);

}  // namespace dormouse::master
