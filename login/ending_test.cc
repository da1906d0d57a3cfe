#include "login/ending.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace dormouse::login {
namespace {

Ending of_errno(int errno_value) { return ending_of(fail_errno(errno_value, "recv").error()); }
Ending of_kind(ErrorKind kind) { return ending_of(fail(kind, "x").error()); }

TEST(Ending, what_the_clients_end_did_is_its_leaving) {
  EXPECT_EQ(of_kind(ErrorKind::kClosed), Ending::kLeft);
  EXPECT_EQ(of_errno(ECONNRESET), Ending::kLeft);
  EXPECT_EQ(of_errno(EPIPE), Ending::kLeft);
  EXPECT_EQ(of_errno(ETIMEDOUT), Ending::kLeft) << "TCP's, not the login's clock";
}

TEST(Ending, what_it_should_not_have_said_is_its_dismissal) {
  EXPECT_EQ(of_kind(ErrorKind::kInvalid), Ending::kDismissed);
  EXPECT_EQ(of_kind(ErrorKind::kDenied), Ending::kDismissed);
  EXPECT_EQ(of_kind(ErrorKind::kLimit), Ending::kDismissed);
}

TEST(Ending, what_the_kernel_could_not_do_is_nobodys_fault) {
  EXPECT_EQ(of_errno(ENOMEM), Ending::kTrouble) << "kLimit, but not the client's";
  EXPECT_EQ(of_errno(EACCES), Ending::kTrouble);
  EXPECT_EQ(of_errno(EBADF), Ending::kTrouble);
  EXPECT_EQ(of_kind(ErrorKind::kUnsupported), Ending::kTrouble);
}

TEST(Ending, our_clock_and_our_word_are_counted_apart) {
  EXPECT_EQ(of_kind(ErrorKind::kTimeout), Ending::kTimedOut);
  EXPECT_EQ(of_kind(ErrorKind::kCancelled), Ending::kSentAway);
}

TEST(Ending, are_told_by_name) {
  EXPECT_EQ(ending_text({1, 2, 3, 4, 5}), "left=1 dismissed=2 timed_out=3 sent_away=4 trouble=5");
}

}  // namespace
}  // namespace dormouse::login
