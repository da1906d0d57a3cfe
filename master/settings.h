#pragma once
// The settings: read once by the master from one TOML file, validated as a whole, and handed to the
// roles typed (wire/settings.proto). The schema (settings_schema.h) is the only list of what may be
// said. Every complaint is one line, `file:line: key: reason`, and all of them are told at once.
//
// Grammar: TOML 1.0; sections and keys as in docs/settings.md; a duration is an integer in the
// key's unit or a string "<integer><ms|s|min|h|d>"; a size is an integer of bytes or
// "<integer><B|KiB| MiB|GiB>". Paths may be relative to the settings file's folder.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "wire/settings.pb.h"

namespace dormouse::master {

// A longer file is no settings file.
inline constexpr size_t kSettingsBytesMax = size_t{1} << 20;
// Certificates for server names: a name of 255 bytes each, beside three paths of 4 KiB, still fits
// the one message of 48 KiB that hands a role its settings.
inline constexpr size_t kSniCertificatesMax = 100;

// A system user that a role becomes.
struct Account {
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool operator==(const Account&) const = default;
};

struct ListenAddress {
  std::string host;  // numeric IPv4 or IPv6
  uint16_t port = 0;
  bool operator==(const ListenAddress&) const = default;
};

struct CertificateFiles {
  std::vector<std::string> names;  // SNI names; empty: the default certificate
  std::string certificate;
  std::string key;
};

struct Settings {
  std::string file;
  std::string server_name;
  std::string base_dir;
  std::string mail_root;
  Account login_user, auth_user, den_user, tracker_user, watch_user;
  uint64_t drain_grace_ms = 0;
  std::vector<ListenAddress> imap, imaps;
  uint32_t listen_backlog = 0;
  std::string admission_mode;  // "auto", "bpf", "accept", "off"
  std::string steering;        // "auto", "bpf", "hash", "shared"
  std::string notice_socket;   // see notice_socket_of()
  std::string notice_access;   // "owner", "everybody", "nobody"
  std::vector<ListenAddress> notice_listen;
  std::string notice_key_file;
  std::vector<CertificateFiles> certificates;  // the first is the default
  uint64_t sessions = 0;
  wire::Settings wire;  // shards and sockets_per_shard are filled in from the limits (shards.h)

  // Where each key that the file sets was set: "file:line". The others have their defaults.
  std::map<std::string, std::string, std::less<>> origins;
  // Every key's value as it would stand in a settings file.
  std::map<std::string, std::string, std::less<>> shown;
};

// Reads the text of a settings file. Touches no other file, except that user names are looked up.
// `file` names it in complaints, `folder` is what relative paths start from. kInvalid with all
// complaints, one a line.
Result<Settings> parse_settings(std::string_view text, const std::string& file,
                                const std::string& folder);

// Reads the file alone, for what has no business with the keys that it names.
Result<Settings> read_settings(const std::string& file);

// Without root there is one user whom our files can belong to: the default where none is set.
void fill_default_user(Settings& settings, bool privileged);

// Reads the file and checks the files it names: certificates with their keys, the passwd-file.
Result<Settings> load_settings(const std::string& file);

// The files alone (settings_files.cc): kInvalid with all complaints.
Result<> check_named_files(const Settings& settings);

// Where notices of changes are taken (docs/change-notices.md); empty: nowhere.
std::string notice_socket_of(const Settings& settings);

// Whether a new value of the key takes effect only at the server's next start.
bool needs_restart(std::string_view key);

// What `config defaults` prints: a settings file with every key, its default and its meaning.
std::string default_settings_text();
// What `config show` prints: every key with its value, and where that came from.
std::string effective_settings_text(const Settings& settings);
// docs/settings.md, whole.
std::string settings_documentation();

}  // namespace dormouse::master
