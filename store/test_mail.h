#pragma once
// Shared by the tests of the store: a Maildir in a fresh directory, and programs that change it
// behind the store's back.

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "store/maildir_name.h"
#include "store/store.h"

namespace dormouse::store {

// The value of a Result, or the end of the test with its error.
template <class T>
T need(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(*result);
}
inline void need(Result<> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
}

class MailTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/dormouse-store-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    root_ = directory_ + "/Maildir";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<UserStore> open() { return need(UserStore::open(root_)); }

  static void write(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // As another delivery agent does it.
  std::string drop(std::string_view text = "Subject: x\n\nhello\n",
                   const std::string& folder = "") {
    std::string base = unique_base();
    std::string directory = root_ + (folder.empty() ? "" : "/" + folder);
    write(directory + "/tmp/" + base, text);
    std::filesystem::rename(directory + "/tmp/" + base, directory + "/new/" + base);
    return base;
  }
  static uint32_t append(Mailbox mailbox, std::string_view text = "Subject: y\r\n\r\nhello\r\n",
                         Flags flags = {}, std::vector<std::string> keywords = {}) {
    AppendSlot slot = need(mailbox.prepare_append());
    write(slot.path(), text);
    LineCounter counter;
    counter.feed(text);
    AppendItem item{&slot, flags, std::move(keywords), 1'000'000'000, counter.rfc822_size_bytes()};
    return need(mailbox.commit_append(std::span(&item, 1))).uids.at(0);
  }

  std::string directory_;
  std::string root_;
};

}  // namespace dormouse::store
