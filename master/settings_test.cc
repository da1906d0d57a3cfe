#include "master/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "master/settings_schema.h"
#include "tls/self_signed.h"

namespace dormouse::master {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Settings that are complete but for TLS.
constexpr std::string_view kPlain = "[listen]\nimaps = []\n";

Result<Settings> parse(std::string_view text) {
  return parse_settings(text, "d.toml", "/etc/dormouse");
}
std::string complaint(std::string_view text) {
  auto settings = parse(text);
  return settings ? "accepted" : settings.error().message;
}
std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Settings, an_almost_empty_file_gives_the_defaults) {
  auto settings = parse(kPlain);
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->wire.login().timeout_ms(), 180'000u);
  EXPECT_EQ(settings->wire.den().slab_bytes_per_session(), 1024u);
  EXPECT_EQ(settings->imap.at(0).port, 10143);
  EXPECT_TRUE(settings->certificates.empty());
}

TEST(Settings, values_are_read_with_their_units) {
  auto settings = parse(std::string(kPlain) +
                        "imap = ['[::1]:143']\n[login]\ntimeout = '90s'\nfailure_delay = 250\n"
                        "[worker]\nappend_bytes = '2MiB'\ncommand_line_bytes = 16384\n"
                        "[server]\nmail_root = 'mail'\nlogin_user = 77\n"
                        "[auth]\nmechanisms = ['PLAIN']\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->wire.login().timeout_ms(), 90'000u);
  EXPECT_EQ(settings->wire.login().failure_delay_ms(), 250u);
  EXPECT_EQ(settings->wire.worker().append_bytes(), 2u << 20);
  EXPECT_EQ(settings->wire.worker().command_line_bytes(), 16384u);
  EXPECT_EQ(settings->mail_root, "/etc/dormouse/mail");
  EXPECT_EQ(settings->imap.at(0), (ListenAddress{.host = "::1", .port = 143}));
  EXPECT_EQ(settings->login_user, (Account{.uid = 77, .gid = 77}));
  ASSERT_EQ(settings->wire.auth().mechanisms_size(), 1);
}

// Every way to be wrong names file, line, key and reason.
TEST(Settings, mistakes_are_told_with_file_line_key_and_reason) {
  struct Case {
    std::string_view text;
    std::string_view complaint;
  };
  const Case cases[] = {
      {"[login]\ntimeut = 3\n", "d.toml:2: login.timeut: there is no such setting"},
      {"[logn]\n", "d.toml:1: logn: there is no such section"},
      {"login = 3\n", "d.toml:1: login: expected the section [login], found an integer"},
      {"[login]\nprocesses = 'two'\n",
       "d.toml:2: login.processes: expected an integer, found a string"},
      {"[login]\nprocesses = 2.5\n",
       "d.toml:2: login.processes: expected an integer, found a fraction"},
      {"[login]\nprocesses = 257\n", "d.toml:2: login.processes: 257 is out of range (0 to 256)"},
      {"[login]\nprocesses = -1\n", "d.toml:2: login.processes: -1 is out of range (0 to 256)"},
      {"\n[login]\n\ntimeout = '2h'\n", "d.toml:4: login.timeout: 2h is out of range (1s to 1h)"},
      {"[login]\ntimeout = '2 fortnights'\n",
       "d.toml:2: login.timeout: \"2 fortnights\" is no number with one of the units d, h, min, s, "
       "ms (as in \"2min\")"},
      {"[login]\ntimeout = '99999999999999999999min'\n", "d.toml:2: login.timeout: \"9"},
      {"[login]\ntimeout = '99999999999999999min'\n", "d.toml:2: login.timeout: \"9"},
      {"[login]\ntimeout = true\n",
       "d.toml:2: login.timeout: expected a duration (\"2min\", or an integer), found true or "
       "false"},
      {"[login]\nplaintext_auth = 'yes'\n",
       "d.toml:2: login.plaintext_auth: expected true or false, found a string"},
      {"[login]\ngreeting = ''\n", "d.toml:2: login.greeting: 0 bytes long, must be 1 to 200"},
      {"[login]\ngreeting = \"a\\nb\"\n", "d.toml:2: login.greeting: contains a control character"},
      {"[worker]\nappend_bytes = '3TiB'\n", "d.toml:2: worker.append_bytes: \"3TiB\" is no number"},
      {"[worker]\nappend_bytes = 12\n",
       "d.toml:2: worker.append_bytes: 12B is out of range (1KiB to 2GiB)"},
      {"[worker]\nidle_timeout = '29min'\n",
       "d.toml:2: worker.idle_timeout: 29min is out of range (30min to 7d)"},
      {"[tracker]\npolicy = 'any'\n",
       "d.toml:2: tracker.policy: \"any\" is none of: shared per-user per-uid prefer-user"},
      {"[tracker]\npolicy = 'shared per-user'\n", "d.toml:2: tracker.policy: \"shared per-user\""},
      {"[auth]\nmechanisms = 'PLAIN'\n",
       "d.toml:2: auth.mechanisms: expected an array of strings, found a string"},
      {"[auth]\nmechanisms = []\n", "d.toml:2: auth.mechanisms: 0 entries, must be 1 to 3"},
      {"[auth]\nmechanisms = ['CRAM-MD5']\n", "d.toml:2: auth.mechanisms: \"CRAM-MD5\" is none of"},
      {"[auth]\nmechanisms = ['PLAIN', 'PLAIN']\n",
       "d.toml:2: auth.mechanisms: \"PLAIN\" stands twice"},
      {"[listen]\nimap = ['localhost:143']\n",
       "d.toml:2: listen.imap: \"localhost:143\" is no nume"},
      {"[listen]\nimap = ['127.0.0.1']\n", "d.toml:2: listen.imap: \"127.0.0.1\" is no numeric"},
      {"[listen]\nimap = ['127.0.0.1:66000']\n",
       "d.toml:2: listen.imap: \"127.0.0.1:66000\" is no"},
      {"[listen]\nimap = ['::1:143']\n", "d.toml:2: listen.imap: \"::1:143\" is no numeric"},
      {"[listen]\nimap = [143]\n",
       "d.toml:2: listen.imap: expected an array of strings, found an integer"},
      {"[server]\nden_user = 'no such user'\n",
       "d.toml:2: server.den_user: there is no user \"no such user\" on this system"},
      {"[server]\nden_user = 0\n", "d.toml:2: server.den_user: may not be root"},
      {"[server]\nden_user = 'root'\n", "d.toml:2: server.den_user: may not be root"},
      {"[tls]\nsni = 3\n", "d.toml:2: tls.sni: expected [[tls.sni]] tables"},
      {"[[tls.sni]]\nname = 'x'\n", "d.toml:2: tls.sni.name: there is no such setting"},
      {"[[tls.sni]]\nnames = ['a']\n", "d.toml:1: tls.sni: needs names, certificate and key"},
      {"[[tls.sni]]\nnames = [1]\ncertificate = 'c'\nkey = 'k'\n",
       "d.toml:2: tls.sni.names: expected an array of server names"},
      {"[login]\nprocesses = 1\nprocesses = 2\n", "d.toml:3: "},
      {"[login\n", "d.toml:1: "},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(complaint(c.text), StartsWith(std::string(c.complaint))) << c.text;
  }
}

TEST(Settings, all_mistakes_are_told_at_once) {
  std::string text = complaint("[login]\nprocesses = 900\nx = 1\n[den]\nsessions = 0\n");
  EXPECT_EQ(std::ranges::count(text, '\n'), 2) << text;
  EXPECT_THAT(text, HasSubstr("d.toml:5: den.sessions: 0 is out of range"));
}

TEST(Settings, complaints_are_bounded) {
  std::string text = "[login]\n";
  for (int i = 0; i < 1000; ++i) text += "x" + std::to_string(i) + " = 1\n";
  EXPECT_THAT(complaint(text), HasSubstr("and 950 more"));
  EXPECT_THAT(complaint(std::string(kSettingsBytesMax + 1, '#')), HasSubstr("longer than"));
}

TEST(Settings, what_does_not_fit_together_is_refused) {
  EXPECT_THAT(complaint(""), StartsWith("d.toml: listen.imaps: needs tls.certificate"));
  EXPECT_THAT(complaint("[listen]\nimap = []\nimaps = []\n"),
              StartsWith("d.toml:2: listen.imap: with listen.imaps empty too"));
  EXPECT_THAT(complaint("[tls]\ncertificate = 'c.pem'\n"),
              StartsWith("d.toml:2: tls.certificate: tls.certificate and tls.key come together"));
  EXPECT_THAT(complaint("[tls]\nkey = 'k.pem'\n[listen]\nimaps = []\n"),
              StartsWith("d.toml:2: tls.key: tls.certificate and tls.key come together"));
  EXPECT_THAT(complaint("[listen]\nimaps = []\n[[tls.sni]]\nnames = ['a']\ncertificate = 'c'\n"
                        "key = 'k'\n"),
              StartsWith("d.toml:3: tls.sni: needs a default"));
  EXPECT_THAT(complaint("[listen]\nimap = ['127.0.0.1:1']\nimaps = ['127.0.0.1:1']\n"
                        "[tls]\ncertificate = 'c'\nkey = 'k'\n"),
              StartsWith("d.toml:3: listen.imaps: 127.0.0.1 port 1 stands in listen.imap too"));
  EXPECT_THAT(complaint("[tracker]\nmin_workers = 5\nmax_workers = 4\n[listen]\nimaps = []\n"),
              StartsWith("d.toml:2: tracker.min_workers: 5 is more than tracker.max_workers (4)"));
}

TEST(Settings, what_defaults_prints_is_read_back_as_the_defaults) {
  std::string text = default_settings_text();
  text.replace(text.find("[\"127.0.0.1:10993\"]"), 19, "[]");
  auto again = parse(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->wire.SerializeAsString(), parse(kPlain)->wire.SerializeAsString());
  EXPECT_EQ(again->origins.size(), settings_schema().size());
}

TEST(Settings, show_names_every_value_and_its_place_and_can_be_read_back) {
  auto settings = parse(
      "[listen]\nimaps = []\n[login]\ntimeout = 60000\n[server]\n"
      "name = 'a \"b\" \\ c'\n");
  ASSERT_TRUE(settings);
  std::string text = effective_settings_text(*settings);
  EXPECT_THAT(text, HasSubstr("timeout = \"1min\"  # d.toml:4\n"));
  EXPECT_THAT(text, HasSubstr("max_attempts = 5  # default\n"));
  auto again = parse(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->wire.SerializeAsString(), settings->wire.SerializeAsString());
  EXPECT_EQ(again->server_name, "a \"b\" \\ c");
}

TEST(Settings, every_field_of_the_message_is_filled_by_some_key) {
  std::set<std::string> filled;
  for (const SettingKey& key : settings_schema()) {
    std::stringstream fields{std::string(key.fields)};
    for (std::string field; fields >> field;) filled.insert(field);
  }
  std::stringstream proto(read_file("wire/settings.proto"));
  std::regex message_line(R"(^  message (\w+) \{.*)");
  std::regex field_line(R"(^ +(?:repeated )?(?:uint32|uint64|string|bool) (\w+) = \d+;.*)");
  std::string message;
  std::set<std::string> declared;
  for (std::string line; std::getline(proto, line);) {
    std::smatch match;
    if (std::regex_match(line, match, message_line)) {
      message = match[1];
      std::ranges::transform(message, message.begin(), ::tolower);
      message += ".";
    } else if (line == "  }") {
      message.clear();
    } else if (std::regex_match(line, match, field_line)) {
      declared.insert(message + match[1].str());
    }
  }
  EXPECT_GT(declared.size(), 30u);
  EXPECT_EQ(filled, declared);
}

TEST(Settings, keys_stand_once_and_in_a_known_section) {
  std::set<std::string_view> seen;
  for (const SettingKey& key : settings_schema()) {
    EXPECT_TRUE(seen.insert(key.name).second) << key.name;
    std::string_view section = key.name.substr(0, key.name.find('.'));
    EXPECT_NE(std::ranges::find(settings_sections(), section, &SettingSection::name),
              settings_sections().end())
        << key.name;
  }
}

TEST(Settings, the_documentation_is_the_schemas) {
  EXPECT_EQ(read_file("docs/settings.md"), settings_documentation())
      << "write it anew: dormouse config documentation > docs/settings.md";
}

// The files that the settings name.
class SettingsFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string made = std::filesystem::temp_directory_path() / "dormouse-settings-XXXXXX";
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    folder_ = made;
    write("passwd", "");
    ASSERT_TRUE(tls::write_self_signed({}, path("c.pem"), path("k.pem")));
    ASSERT_TRUE(tls::write_self_signed({}, path("c2.pem"), path("k2.pem")));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name)) << text;
  }
  std::string complaint_of(const std::string& text) {
    write("d.toml", text);
    auto settings = load_settings(path("d.toml"));
    return settings ? "accepted" : settings.error().message;
  }
  std::string folder_;
};

TEST_F(SettingsFiles, relative_to_the_settings_file_they_are_found) {
  EXPECT_EQ(complaint_of("[auth]\npasswd_file = 'passwd'\n[tls]\ncertificate = 'c.pem'\n"
                         "key = 'k.pem'\n"),
            "accepted");
}

TEST_F(SettingsFiles, a_certificate_and_another_ones_key_are_refused) {
  EXPECT_THAT(complaint_of("[auth]\npasswd_file = 'passwd'\n[tls]\ncertificate = 'c.pem'\n"
                           "key = 'k2.pem'\n"),
              StartsWith(path("d.toml") + ":4: tls.certificate: " + path("c.pem") + " with key " +
                         path("k2.pem") + ": "));
}

TEST_F(SettingsFiles, missing_and_broken_ones_are_all_told) {
  write("broken.pem", "-----BEGIN CERTIFICATE-----\nxx\n");
  std::string text = complaint_of(
      "[auth]\npasswd_file = 'none'\n[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\n[[tls.sni]]\n"
      "names = ['a.example']\ncertificate = 'broken.pem'\nkey = 'k.pem'\n[[tls.sni]]\n"
      "names = ['b.example']\ncertificate = 'none.pem'\nkey = 'k.pem'\n");
  EXPECT_THAT(text, HasSubstr("d.toml:8: tls.sni.certificate: "));
  EXPECT_THAT(text, HasSubstr("d.toml:12: tls.sni.certificate: "));
  EXPECT_THAT(text, HasSubstr("d.toml:2: auth.passwd_file: " + path("none") + ": No such file"));
}

TEST_F(SettingsFiles, a_passwd_file_that_is_a_folder_is_refused) {
  EXPECT_THAT(complaint_of("[auth]\npasswd_file = '.'\n[listen]\nimaps = []\n"),
              HasSubstr("d.toml:2: auth.passwd_file: "));
}

TEST_F(SettingsFiles, a_settings_file_that_is_not_there_is_told) {
  auto settings = load_settings(path("nothing.toml"));
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().message, HasSubstr("nothing.toml: No such file"));
}

TEST(SettingValues, durations_and_sizes_print_as_they_are_read) {
  for (std::string_view text : {"1ms", "1500ms", "2s", "90min", "1h", "3d"}) {
    EXPECT_EQ(*parse_duration_ms(*parse_duration_ms(text) == 0 ? "0ms" : text),
              *parse_duration_ms(format_duration_ms(*parse_duration_ms(text))));
  }
  EXPECT_EQ(format_duration_ms(120'000), "2min");
  EXPECT_EQ(format_duration_ms(0), "0ms");
  EXPECT_EQ(format_size_bytes(3 << 20), "3MiB");
  EXPECT_EQ(*parse_size_bytes("3 MiB"), 3u << 20);
  EXPECT_FALSE(parse_size_bytes("MiB"));
  EXPECT_FALSE(parse_size_bytes(""));
  EXPECT_FALSE(parse_size_bytes("-1B"));
}

}  // namespace
}  // namespace dormouse::master
