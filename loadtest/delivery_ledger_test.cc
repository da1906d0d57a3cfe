#include "loadtest/delivery_ledger.h"

#include <gtest/gtest.h>

namespace dormouse::loadtest {
namespace {

using Verdict = DeliveryLedger::Verdict;

TEST(DeliveryLedger, a_delivery_is_owed_to_each_session_of_its_user_and_no_other) {
  DeliveryLedger ledger(2);
  ledger.selected(0, 5);
  ledger.selected(0, 5);
  ledger.selected(1, 9);
  ledger.delivered(0, 1000);
  EXPECT_EQ(ledger.outstanding(), 2u);
  EXPECT_EQ(ledger.heard(1, 9, 10, 1500), Verdict::kUnexpected);
  EXPECT_EQ(ledger.heard(0, 5, 6, 1500), Verdict::kAnswers);
  EXPECT_EQ(ledger.outstanding(), 1u);
  EXPECT_EQ(ledger.heard(0, 6, 6, 1600), Verdict::kRepeated);
  EXPECT_EQ(ledger.heard(0, 6, 7, 1600), Verdict::kUnexpected);
  EXPECT_EQ(ledger.heard(0, 5, 6, 3000), Verdict::kAnswers);
  EXPECT_EQ(ledger.outstanding(), 0u);
  EXPECT_EQ(ledger.latency().count(), 2u);
  EXPECT_EQ(ledger.latency().min_us(), 500u);
  EXPECT_EQ(ledger.latency().max_us(), 2000u);
}

TEST(DeliveryLedger, one_exists_may_answer_two_deliveries) {
  DeliveryLedger ledger(1);
  ledger.selected(0, 0);
  ledger.delivered(0, 10);
  ledger.delivered(0, 20);
  EXPECT_EQ(ledger.heard(0, 0, 2, 30), Verdict::kAnswers);
  EXPECT_EQ(ledger.coalesced(), 1u);
  EXPECT_EQ(ledger.outstanding(), 0u);
  EXPECT_EQ(ledger.latency().count(), 2u);
}

TEST(DeliveryLedger, who_comes_late_is_owed_what_came_meanwhile_and_who_leaves_is_owed_nothing) {
  DeliveryLedger ledger(1);
  ledger.selected(0, 5);
  ledger.delivered(0, 10);
  ledger.selected(0, 5);  // its SELECT was answered before the delivery
  EXPECT_EQ(ledger.outstanding(), 2u);
  EXPECT_EQ(ledger.heard(0, 5, 6, 30), Verdict::kAnswers);
  ledger.selected(0, 6);
  EXPECT_EQ(ledger.outstanding(), 1u);
  ledger.left(0, 5);
  EXPECT_EQ(ledger.outstanding(), 0u);
  EXPECT_EQ(ledger.missing(), 0u);
}

TEST(DeliveryLedger, what_a_lost_session_was_owed_is_missing) {
  DeliveryLedger ledger(1);
  ledger.selected(0, 1);
  ledger.selected(0, 1);
  ledger.delivered(0, 0);
  ledger.delivered(0, 0);
  EXPECT_EQ(ledger.heard(0, 1, 2, 5), Verdict::kAnswers);
  ledger.lost(0, 2);
  EXPECT_EQ(ledger.missing(), 1u);
  EXPECT_EQ(ledger.outstanding(), 2u);
  ledger.give_up();
  EXPECT_EQ(ledger.missing(), 3u);
  EXPECT_EQ(ledger.outstanding(), 0u);
  EXPECT_EQ(ledger.heard(0, 1, 3, 5), Verdict::kAnswers) << "late, but right";
}

TEST(DeliveryLedger, a_delivery_that_was_undone_is_owed_to_nobody) {
  DeliveryLedger ledger(2);
  ledger.selected(0, 4);
  ledger.delivered(0, 0);
  ledger.undo(0);
  ledger.delivered(1, 0);  // nobody watches
  ledger.undo(1);
  EXPECT_EQ(ledger.outstanding(), 0u);
  EXPECT_EQ(ledger.heard(0, 4, 5, 1), Verdict::kUnexpected);
}

TEST(DeliveryLedger, a_count_that_falls_is_unexpected) {
  DeliveryLedger ledger(1);
  ledger.selected(0, 4);
  EXPECT_EQ(ledger.heard(0, 4, 3, 1), Verdict::kUnexpected);
}

}  // namespace
}  // namespace dormouse::loadtest
