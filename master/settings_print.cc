// The schema and the settings, for people: config defaults, config show, docs/settings.md.

#include <fmt/format.h>

#include <iterator>

#include "master/settings.h"
#include "master/settings_schema.h"

namespace dormouse::master {
namespace {

constexpr size_t kCommentColumns = 96;

std::string_view section_of(const SettingKey& key) {
  return key.name.substr(0, key.name.find('.'));
}
std::string_view leaf_of(const SettingKey& key) { return key.name.substr(key.name.find('.') + 1); }

std::string type_text(const SettingKey& key) {
  switch (key.type) {
    case SettingType::kCount:
      return "integer";
    case SettingType::kDuration:
      return fmt::format("duration ({})", key.unit);
    case SettingType::kSize:
      return "size (bytes)";
    case SettingType::kFlag:
      return "true or false";
    case SettingType::kText:
      return "string";
    case SettingType::kPath:
      return "path";
    case SettingType::kChoice:
      return "one of";
    case SettingType::kChoices:
      return "array of";
    case SettingType::kAccount:
      return "user: name or uid";
    case SettingType::kAddresses:
      return "array of address:port";
  }
  return "";
}

std::string allowed_text(const SettingKey& key) {
  switch (key.type) {
    case SettingType::kFlag:
      return "";
    case SettingType::kChoice:
    case SettingType::kChoices: {
      std::string text;
      for (char c : key.choices) text += c == ' ' ? std::string(", ") : std::string(1, c);
      return text;
    }
    case SettingType::kText:
    case SettingType::kPath:
      return format_range(key) + " bytes";
    case SettingType::kAddresses:
      return format_range(key) + " entries";
    default:
      return format_range(key);
  }
}

void append_comment(std::string& out, std::string_view text) {
  while (!text.empty()) {
    size_t length = text.size();
    if (length > kCommentColumns) {
      length = text.rfind(' ', kCommentColumns);
      if (length == std::string_view::npos) length = text.size();
    }
    fmt::format_to(std::back_inserter(out), "# {}\n", text.substr(0, length));
    text.remove_prefix(std::min(text.size(), length + 1));
  }
}

}  // namespace

std::string default_settings_text() {
  std::string out = "# Every setting with its default. docs/settings.md says more.\n";
  for (const SettingSection& section : settings_sections()) {
    out += '\n';
    append_comment(out, section.meaning);
    fmt::format_to(std::back_inserter(out), "[{}]\n", section.name);
    for (const SettingKey& key : settings_schema()) {
      if (section_of(key) != section.name) continue;
      std::string allowed = allowed_text(key);
      append_comment(out, allowed.empty() ? std::string(key.meaning)
                                          : fmt::format("{} ({})", key.meaning, allowed));
      fmt::format_to(std::back_inserter(out), "{} = {}\n", leaf_of(key), key.fallback);
    }
  }
  return out;
}

std::string effective_settings_text(const Settings& settings) {
  std::string out;
  for (const SettingSection& section : settings_sections()) {
    fmt::format_to(std::back_inserter(out), "{}[{}]\n", out.empty() ? "" : "\n", section.name);
    for (const SettingKey& key : settings_schema()) {
      if (section_of(key) != section.name) continue;
      auto origin = settings.origins.find(key.name);
      fmt::format_to(std::back_inserter(out), "{} = {}  # {}\n", leaf_of(key),
                     settings.shown.at(std::string(key.name)),
                     origin == settings.origins.end() ? "default" : origin->second);
    }
  }
  for (size_t i = 1; i < settings.certificates.size(); ++i) {
    const CertificateFiles& files = settings.certificates[i];
    std::string names;
    for (const std::string& name : files.names) {
      names += (names.empty() ? "" : ", ") + quote(name);
    }
    fmt::format_to(std::back_inserter(out),
                   "\n[[tls.sni]]  # {}\nnames = [{}]\ncertificate = {}\nkey = {}\n",
                   settings.origins.at(fmt::format("tls.sni.{}.certificate", i)), names,
                   quote(files.certificate), quote(files.key));
  }
  return out;
}

std::string settings_documentation() {
  std::string out =
      "# Settings\n\n"
      "One TOML file, read and validated as a whole by the master: `dormouse config check --config "
      "FILE`\nsays everything that is wrong with it, one line each, as `file:line: key: reason`; "
      "`config show`\nprints every value and where it came from; `config defaults` prints a file "
      "to start from.\nSIGHUP reads the file again; a file with a mistake changes nothing.\n\n"
      "A duration is an integer in the unit named, or a string such as \"2min\" (ms, s, min, h, "
      "d); a size\nis an integer of bytes or a string such as \"64MiB\" (B, KiB, MiB, GiB). "
      "Relative paths start from the\nsettings file's folder.\n\n"
      "Needs a restart: [listen], den.sessions, den.sockets_per_shard, "
      "den.slab_bytes_per_session,\n"
      "login.processes, login.steering, admission.mode, server.base_dir, server.mail_root,\n"
      "server.*_user, watch.backend, watch.shared_store, watch.notice_socket, "
      "watch.notice_access,\n"
      "watch.notice_listen, watch.notice_key.\n\n"
      "This page is made from the schema (master/settings_schema.cc); a test compares them.\n";
  for (const SettingSection& section : settings_sections()) {
    fmt::format_to(std::back_inserter(out),
                   "\n## [{}]\n\n{}\n\n| key | type | default | allowed | meaning |\n"
                   "|---|---|---|---|---|\n",
                   section.name, section.meaning);
    for (const SettingKey& key : settings_schema()) {
      if (section_of(key) != section.name) continue;
      fmt::format_to(std::back_inserter(out), "| `{}` | {} | `{}` | {} | {} |\n", leaf_of(key),
                     type_text(key), key.fallback, allowed_text(key), key.meaning);
    }
  }
  return out;
}

}  // namespace dormouse::master
