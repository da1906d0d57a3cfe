#include "loadtest/postman.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "loadtest/clock.h"

namespace dormouse::loadtest {
namespace {

class PostmanTest : public testing::Test {
 protected:
  PostmanTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "dormouse-postman-XXXXXX";
    path_ = mkdtemp(pattern.data());
    for (const char* folder : {"tmp", "new", "cur"}) {
      std::filesystem::create_directories(fmt::format("{}/u1/{}", path_, folder));
    }
  }
  ~PostmanTest() override { std::filesystem::remove_all(path_); }

  Letter letter(const std::string& recipient = "u1") {
    return {.user = 1,
            .maildir = path_ + "/" + recipient,
            .recipient = recipient,
            .sequence = ++sequence_,
            .message_bytes = 300};
  }
  size_t files(const std::string& folder) const {
    std::filesystem::directory_iterator found(path_ + "/u1/" + folder);
    return size_t(std::distance(begin(found), end(found)));
  }
  // Until `done`, or ten seconds.
  template <typename Condition>
  static bool wait_until(Condition done) {
    uint64_t give_up_us = now_us() + 10'000'000;
    while (!done()) {
      if (now_us() > give_up_us) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  static std::vector<Postman::Outcome> all_outcomes(Postman& postman) {
    std::vector<Postman::Outcome> all;
    wait_until([&] {
      std::ranges::move(postman.take_outcomes(), std::back_inserter(all));
      return postman.under_way() == 0;
    });
    return all;
  }

  std::string path_;
  uint64_t sequence_ = 0;
};

TEST_F(PostmanTest, writes_ahead_and_sends_only_when_told) {
  Postman postman;
  postman.give(letter());
  postman.give(letter());
  EXPECT_TRUE(wait_until([this] { return files("tmp") == 2; }));
  EXPECT_EQ(files("new"), 0u);
  uint64_t told_us = now_us();
  postman.send();
  EXPECT_EQ(postman.given(), 1u);
  auto outcomes = all_outcomes(postman);
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_TRUE(outcomes[0].sent);
  EXPECT_EQ(outcomes[0].user, 1u);
  EXPECT_GE(outcomes[0].begun_us, told_us);
  EXPECT_EQ(files("new"), 1u);
  EXPECT_EQ(files("tmp"), 1u);
}

TEST_F(PostmanTest, what_is_due_before_it_is_written_goes_when_it_is) {
  Postman postman;
  for (int k = 0; k < 50; ++k) {
    postman.give(letter());
    postman.send();
  }
  EXPECT_EQ(all_outcomes(postman).size(), 50u);
  EXPECT_EQ(files("new"), 50u);
}

TEST_F(PostmanTest, says_what_could_not_be_put_there_and_goes_on) {
  Postman postman;
  postman.give(letter("nobody"));
  postman.give(letter());
  postman.send();
  postman.send();
  auto outcomes = all_outcomes(postman);
  ASSERT_EQ(outcomes.size(), 2u);
  ASSERT_FALSE(outcomes[0].sent);
  EXPECT_NE(outcomes[0].sent.error().message.find("/nobody/tmp/"), std::string::npos);
  EXPECT_TRUE(outcomes[1].sent);
}

TEST_F(PostmanTest, leaves_no_file_that_was_not_sent) {
  {
    Postman postman;
    for (int k = 0; k < 5; ++k) postman.give(letter());
    EXPECT_TRUE(wait_until([this] { return files("tmp") == 5; }));
  }
  EXPECT_EQ(files("tmp"), 0u);
  EXPECT_EQ(files("new"), 0u);
}

}  // namespace
}  // namespace dormouse::loadtest
