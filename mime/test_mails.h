#pragma once
// The mails of mime/testdata, for tests, which run in the top folder of the tree.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace dormouse::mime {

inline std::string test_mail(const std::string& name) {
  std::ifstream file("mime/testdata/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Name and bytes of each, by name.
inline std::vector<std::pair<std::string, std::string>> test_mails() {
  std::vector<std::pair<std::string, std::string>> mails;
  for (const auto& entry : std::filesystem::directory_iterator("mime/testdata")) {
    std::string name = entry.path().filename().string();
    std::string bytes = test_mail(name);
    mails.emplace_back(std::move(name), std::move(bytes));
  }
  std::ranges::sort(mails);
  return mails;
}

}  // namespace dormouse::mime
