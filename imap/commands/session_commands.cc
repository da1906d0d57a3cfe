// ID (RFC 2971), ENABLE (RFC 5161), NAMESPACE (RFC 2342).

#include <fmt/format.h>

#include "imap/commands/commands.h"
#include "role/log.h"

namespace dormouse::imap {

Answer run(Session& session, const Id& arguments) {
  // FNV-1a over the pairs: names a kind of client, for statistics, without keeping what it said.
  uint64_t hash = 14695981039346656037u;
  auto mix = [&](std::string_view text) {
    for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    hash = (hash ^ 0xff) * 1099511628211u;
  };
  std::string name;
  for (const auto& [key, value] : arguments.pairs) {
    mix(key);
    mix(value.value_or(""));
    if (equals_nocase(key, "name")) name = value.value_or("");
  }
  if (!arguments.pairs.empty()) session.set_client_id(hash);
  role::log_debug("client-id",
                  {{"user", session.user().name()}, {"session", session.id()}, {"name", name}});
  session.out().text() += "* ID (\"name\" \"Dormouse\")\r\n";
  co_return ok("ID completed.");
}

Answer run(Session& session, const Enable& arguments) {
  std::string enabled;
  bool condstore = false;
  bool qresync = false;
  for (const std::string& capability : arguments.capabilities) {
    if (capability == "CONDSTORE" && !condstore) {
      condstore = true;
      enabled += " CONDSTORE";
    } else if (capability == "QRESYNC" && !qresync) {
      qresync = true;
      enabled += " QRESYNC";
    }
  }
  session.out().text() += fmt::format("* ENABLED{}\r\n", enabled);
  if (qresync) {
    session.enable_qresync();
  } else if (condstore) {
    session.enable_condstore();
  }
  co_return ok("Enable completed.");
}

Answer run(Session& session, const Namespace&) {
  session.out().text() += fmt::format("* NAMESPACE ((\"\" \"{}\")) NIL NIL\r\n", store::kSeparator);
  co_return ok("Namespace completed.");
}

}  // namespace dormouse::imap
