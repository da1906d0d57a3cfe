#pragma once
// Single values of a settings file: TOML in, what the schema says they are out. Inside of the
// reader of settings.

#include <string>
#include <string_view>

#include "master/settings_schema.h"

// Our own code has no exceptions across interfaces, so the parser answers instead of throwing.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wold-style-cast"
#include <toml++/toml.h>
#pragma clang diagnostic pop

namespace dormouse::master {

// What a node is, for people: "an integer".
std::string_view kind_name(const toml::node& node);

// `folder` is what relative paths start from. kInvalid: what is wrong with it.
Result<SettingValue> convert_setting(const SettingKey& key, const toml::node& node,
                                     const std::string& folder);

}  // namespace dormouse::master
