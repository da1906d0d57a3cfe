#include "wire/topic.h"

#include <gtest/gtest.h>

namespace dormouse::wire {
namespace {

TEST(Topic, is_of_a_user_and_a_mailbox_and_never_0) {
  EXPECT_NE(topic_of("ada", "Sent"), topic_of("ada", "Drafts"));
  EXPECT_NE(topic_of("ada", "Sent"), topic_of("bob", "Sent"));
  EXPECT_NE(topic_of("ad", "aSent"), topic_of("ada", "Sent"));
  EXPECT_NE(topic_of("ada", ""), topic_of("ada", "INBOX")) << "the list is no mailbox";
  EXPECT_NE(topic_of("", ""), 0u);
}

TEST(Topic, knows_the_inbox_in_any_case_and_no_other_name) {
  EXPECT_EQ(topic_of("ada", "InBox"), topic_of("ada", "INBOX"));
  EXPECT_NE(topic_of("ada", "sent"), topic_of("ada", "Sent"));
  EXPECT_NE(topic_of("ada", "inbox/a"), topic_of("ada", "INBOX/a"));
}

}  // namespace
}  // namespace dormouse::wire
