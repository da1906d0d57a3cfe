// The reader: TOML tree in, Settings or complaints out. Single values: settings_toml.cc.

#include "master/settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "io/fd.h"
#include "master/settings_toml.h"

namespace dormouse::master {
namespace {

constexpr size_t kComplaintsMax = 50;  // more help nobody

// A DNS name has at most 253 bytes.
constexpr SettingKey kSniName{"tls.sni.names", SettingType::kText, "", 1, 253, "", "", "", "",
                              nullptr};

class Reader {
 public:
  Reader(const std::string& file, const std::string& folder) : file_(file), folder_(folder) {
    settings_.file = file;
    settings_.certificates.resize(1);
  }

  Result<Settings> read(std::string_view text);

 private:
  void complain(const toml::node* where, std::string_view key, std::string_view reason);
  void complain_at(std::string_view key, std::string_view reason);
  void read_defaults();
  void read_sections(const toml::table& root);
  void keep(const SettingKey& key, const SettingValue& value);
  void read_key(const SettingKey& key, const toml::node& node);
  void read_sni(const toml::node& node);
  void check_together();
  void check_pressure();
  std::string place(const toml::node& node) const {
    return fmt::format("{}:{}", file_, node.source().begin.line);
  }

  const std::string& file_;
  const std::string& folder_;
  Settings settings_;
  std::string complaints_;
  size_t complaint_count_ = 0;
};

void Reader::complain(const toml::node* where, std::string_view key, std::string_view reason) {
  if (++complaint_count_ > kComplaintsMax) return;
  if (!complaints_.empty()) complaints_ += '\n';
  std::string at = where != nullptr ? place(*where) : file_;
  complaints_ +=
      key.empty() ? fmt::format("{}: {}", at, reason) : fmt::format("{}: {}: {}", at, key, reason);
}

void Reader::complain_at(std::string_view key, std::string_view reason) {
  if (++complaint_count_ > kComplaintsMax) return;
  if (!complaints_.empty()) complaints_ += '\n';
  auto found = settings_.origins.find(key);
  complaints_ += fmt::format("{}: {}: {}", found != settings_.origins.end() ? found->second : file_,
                             key, reason);
}

// The defaults go through the same conversion as the file, relative to no folder: they are
// absolute or empty.
void Reader::read_defaults() {
  for (const SettingKey& key : settings_schema()) {
    auto parsed = toml::parse(fmt::format("v = {}", key.fallback));
    DORMOUSE_CHECK(bool(parsed), "a default in the schema is TOML");
    auto value = convert_setting(key, *parsed.table().get("v"), folder_);
    DORMOUSE_CHECK(bool(value), value ? key.name : value.error().message);
    keep(key, *value);
  }
}

void Reader::keep(const SettingKey& key, const SettingValue& value) {
  key.store(settings_, value);
  settings_.shown.insert_or_assign(std::string(key.name), format_value(key, value));
}

void Reader::read_key(const SettingKey& key, const toml::node& node) {
  auto value = convert_setting(key, node, folder_);
  if (!value) {
    complain(&node, key.name, value.error().message);
    return;
  }
  settings_.origins.insert_or_assign(std::string(key.name), place(node));
  keep(key, *value);
}

// [[tls.sni]]: names, certificate, key.
void Reader::read_sni(const toml::node& node) {
  settings_.origins.insert_or_assign("tls.sni", place(node));
  const toml::array* array = node.as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    complain(&node, "tls.sni", "expected [[tls.sni]] tables");
    return;
  }
  if (array->size() > kSniCertificatesMax) {
    complain(&node, "tls.sni", fmt::format("more than {} certificates", kSniCertificatesMax));
    return;
  }
  for (const toml::node& entry : *array) {
    CertificateFiles files;
    for (const auto& [name, value] : *entry.as_table()) {
      std::string key = fmt::format("tls.sni.{}", name.str());
      if (name == "names") {
        const toml::array* names = value.as_array();
        for (size_t i = 0; names != nullptr && i < names->size(); ++i) {
          auto text = convert_setting(kSniName, *names->get(i), folder_);
          if (text) files.names.push_back(text->text);
        }
        if (names == nullptr || names->empty() || files.names.size() != names->size()) {
          complain(&value, key, "expected an array of server names of 1 to 253 bytes");
        }
      } else if (name == "certificate" || name == "key") {
        auto path = convert_setting(*find_setting("server.base_dir"), value, folder_);
        if (!path) {
          complain(&value, key, path.error().message);
          continue;
        }
        (name == "key" ? files.key : files.certificate) = path->text;
        settings_.origins.insert_or_assign(
            fmt::format("tls.sni.{}.{}", settings_.certificates.size(), name.str()), place(value));
      } else {
        complain(&value, key, "there is no such setting");
      }
    }
    if (files.names.empty() || files.certificate.empty() || files.key.empty()) {
      complain(&entry, "tls.sni", "needs names, certificate and key");
    }
    settings_.certificates.push_back(std::move(files));
  }
}

void Reader::read_sections(const toml::table& root) {
  for (const auto& [section, content] : root) {
    auto known = std::ranges::find(settings_sections(), section.str(), &SettingSection::name);
    if (known == settings_sections().end()) {
      complain(&content, section.str(), "there is no such section");
      continue;
    }
    const toml::table* table = content.as_table();
    if (table == nullptr) {
      complain(
          &content, section.str(),
          fmt::format("expected the section [{}], found {}", section.str(), kind_name(content)));
      continue;
    }
    for (const auto& [name, node] : *table) {
      std::string full = fmt::format("{}.{}", section.str(), name.str());
      if (full == "tls.sni") {
        read_sni(node);
      } else if (const SettingKey* key = find_setting(full)) {
        read_key(*key, node);
      } else {
        complain(&node, full, "there is no such setting");
      }
    }
  }
}

// A second threshold below the first would make busy what is critical.
void Reader::check_pressure() {
  const auto& p = settings_.wire.pressure();
  auto ordered = [this](uint32_t first, uint32_t second, std::string_view key,
                        std::string_view other) {
    if (first <= second) return;
    complain_at(key, fmt::format("is below {}", other));
  };
  ordered(p.memory_busy_percent(), p.memory_critical_percent(), "pressure.memory_critical",
          "pressure.memory_busy");
  ordered(p.memory_stall_busy_percent(), p.memory_stall_critical_percent(),
          "pressure.memory_stall_critical", "pressure.memory_stall_busy");
  ordered(p.cpu_stall_busy_percent(), p.cpu_stall_pressed_percent(), "pressure.cpu_stall_pressed",
          "pressure.cpu_stall_busy");
  ordered(p.io_stall_busy_percent(), p.io_stall_pressed_percent(), "pressure.io_stall_pressed",
          "pressure.io_stall_busy");
  ordered(p.workers_busy_percent(), p.workers_pressed_percent(), "pressure.workers_pressed",
          "pressure.workers_busy");
  ordered(p.queue_busy_ms(), p.queue_critical_ms(), "pressure.queue_critical",
          "pressure.queue_busy");
  ordered(p.coalesce_busy_ms(), p.coalesce_pressed_ms(), "pressure.coalesce_pressed",
          "pressure.coalesce_busy");
  ordered(p.coalesce_pressed_ms(), p.coalesce_critical_ms(), "pressure.coalesce_critical",
          "pressure.coalesce_pressed");
}

// What no single key shows.
void Reader::check_together() {
  const CertificateFiles& main = settings_.certificates.front();
  if (main.certificate.empty() && !settings_.imaps.empty()) {
    complain_at("listen.imaps",
                "needs tls.certificate and tls.key (`dormouse make-certificate` makes a pair for a "
                "first try); without TLS set listen.imaps = []");
  }
  if (main.certificate.empty() != main.key.empty()) {
    complain_at(main.key.empty() ? "tls.certificate" : "tls.key",
                "tls.certificate and tls.key come together");
  }
  if (main.certificate.empty() && settings_.certificates.size() > 1) {
    complain_at("tls.sni", "needs a default in tls.certificate and tls.key");
  }
  if (settings_.imap.empty() && settings_.imaps.empty()) {
    complain_at("listen.imap", "with listen.imaps empty too, nobody could connect");
  }
  for (const ListenAddress& address : settings_.imaps) {
    if (address.port != 0 && std::ranges::find(settings_.imap, address) != settings_.imap.end()) {
      complain_at("listen.imaps",
                  fmt::format("{} port {} stands in listen.imap too", address.host, address.port));
    }
  }
  check_pressure();
  const auto& tracker = settings_.wire.tracker();
  if (tracker.min_workers() > tracker.max_workers()) {
    complain_at("tracker.min_workers", fmt::format("{} is more than tracker.max_workers ({})",
                                                   tracker.min_workers(), tracker.max_workers()));
  }
}

Result<Settings> Reader::read(std::string_view text) {
  read_defaults();
  auto parsed = toml::parse(text);
  if (!parsed) {
    return fail(ErrorKind::kInvalid,
                fmt::format("{}:{}: {}", file_, parsed.error().source().begin.line,
                            parsed.error().description()));
  }
  read_sections(parsed.table());
  if (complaint_count_ == 0) check_together();
  if (complaint_count_ > kComplaintsMax) {
    complaints_ += fmt::format("\n{}: and {} more", file_, complaint_count_ - kComplaintsMax);
  }
  if (complaint_count_ > 0) return fail(ErrorKind::kInvalid, complaints_);
  if (settings_.certificates.front().certificate.empty()) settings_.certificates.clear();
  auto* tls = settings_.wire.mutable_tls();
  for (const CertificateFiles& files : settings_.certificates) {
    tls->add_certificate_names(files.names.empty() ? "" : files.names.front());
  }
  return std::move(settings_);
}

}  // namespace

Result<Settings> parse_settings(std::string_view text, const std::string& file,
                                const std::string& folder) {
  if (text.size() > kSettingsBytesMax) {
    return fail(ErrorKind::kInvalid,
                fmt::format("{}: longer than {} bytes", file, kSettingsBytesMax));
  }
  return Reader(file, folder).read(text);
}

Result<Settings> read_settings(const std::string& file) {
  io::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, file);
  std::string text(kSettingsBytesMax + 1, '\0');
  size_t length = 0;
  while (length < text.size()) {
    ssize_t got = ::read(fd.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, file);
    if (got == 0) break;
    length += size_t(got);
  }
  text.resize(length);
  std::error_code error;
  auto absolute = std::filesystem::absolute(file, error);
  if (error) return fail_errno(error.value(), file);
  return parse_settings(text, file, absolute.parent_path().string());
}

Result<Settings> load_settings(const std::string& file) {
  auto settings = read_settings(file);
  if (!settings) return settings;
  if (auto checked = check_named_files(*settings); !checked) {
    return std::unexpected(checked.error());
  }
  return settings;
}

void fill_default_user(Settings& settings, bool privileged) {
  auto* auth = settings.wire.mutable_auth();
  if (privileged || auth->default_uid() != 0) return;
  auth->set_default_uid(geteuid());
  auth->set_default_gid(getegid());
}

}  // namespace dormouse::master
