#include "wire/validate.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/link.h"

namespace dormouse::wire {
namespace {

TEST(Validate, a_message_without_a_kind_is_refused) {
  EXPECT_FALSE(validate(DenToTracker(), 0));
  EXPECT_FALSE(validate(AuthToTracker(), 0));
  EXPECT_FALSE(validate(WorkerToTracker(), 0));
  EXPECT_FALSE(validate(DenToWatch(), 0));
}

TEST(Validate, an_open_needs_its_grant_and_exactly_one_descriptor) {
  DenToTracker message;
  message.mutable_open()->set_grant(std::string(16, 'g'));
  EXPECT_TRUE(validate(message, 1));
  EXPECT_FALSE(validate(message, 0));
  EXPECT_FALSE(validate(message, 2));
  message.mutable_open()->set_grant("short");
  EXPECT_FALSE(validate(message, 1));
}

TEST(Validate, a_probe_and_its_answer_carry_no_descriptor) {
  TrackerToWorker probe;
  probe.mutable_probe()->set_number(1);
  EXPECT_TRUE(validate(probe, 0));
  EXPECT_FALSE(validate(probe, 1));
  WorkerToTracker answer;
  answer.mutable_probed()->set_number(1);
  EXPECT_TRUE(validate(answer, 0));
  EXPECT_FALSE(validate(answer, 1));
}

TEST(Validate, names_hold_no_control_characters_and_are_bounded) {
  EXPECT_TRUE(is_name("\xc3\xa4lice", kMaxUserBytes));
  EXPECT_FALSE(is_name("", kMaxUserBytes));
  EXPECT_FALSE(is_name("a\nb", kMaxUserBytes));
  EXPECT_FALSE(is_name(std::string(1, '\0'), kMaxUserBytes));
  EXPECT_FALSE(is_name(std::string(kMaxUserBytes + 1, 'a'), kMaxUserBytes));
}

TEST(Validate, an_identity_says_where_the_mail_is_with_an_absolute_path) {
  AuthToTracker message;
  message.mutable_grant()->set_grant(std::string(16, 'g'));
  auto* identity = message.mutable_grant()->mutable_identity();
  identity->set_user("alice");
  EXPECT_FALSE(validate(message, 0));
  identity->set_home("relative/home");
  EXPECT_FALSE(validate(message, 0));
  identity->set_home("/home/alice");
  EXPECT_TRUE(validate(message, 0));
}

TEST(Validate, a_folder_whose_name_is_no_utf8_does_not_break_the_link) {
  DenToWatch message;
  message.mutable_subscribe()->add_directories()->set_path("/srv/\xff\xfe/new");
  std::string bytes = serialize(message);
  DenToWatch back;
  ASSERT_TRUE(parse(bytes, back));
  EXPECT_TRUE(validate(back, 0));
}

}  // namespace
}  // namespace dormouse::wire
