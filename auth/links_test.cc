// A login's and a tracker's side of auth's links, over real channels.

#include <gtest/gtest.h>

#include "auth/login_link.h"
#include "auth/tracker_link.h"
#include "wire/link.h"

namespace dormouse::auth {
namespace {

using namespace std::string_literals;

struct Fixture {
  explicit Fixture(io::Loop& loop) : tracker(loop, *make(loop)) {}
  const Verifier* make(io::Loop& loop) {
    wire::Settings::Auth settings;
    settings.set_cache_entries(100);
    settings.set_cache_ttl_ms(60'000);
    auto made = Verifier::create(loop, "", settings);
    EXPECT_TRUE(made);
    verifier = *std::move(made);
    auto directory = UserDirectory::parse(
        "anna:{PLAIN}secret:1000:1000::/home/anna::userdb_sessions=4\n"
        "ben:{PLAIN}x::::::nologin\n"
        "carl:{PLAIN}x::::::allow_nets=192.0.2.0/24\n",
        {.uid = 5, .gid = 5, .home = "/mail/%u"});
    EXPECT_TRUE(directory);
    verifier->set_directory(*directory, settings);
    return verifier.get();
  }
  std::unique_ptr<Verifier> verifier;
  TrackerLink tracker;
  LoginCounters counters;
  std::vector<Mechanism> mechanisms = {Mechanism::kPlain, Mechanism::kLogin,
                                       Mechanism::kScramSha256};
};

// Stores every grant and remembers the last.
io::Task<void> play_tracker(io::Loop* loop, io::Channel* channel,
                            wire::AuthToTracker::Grant* last) {
  while (true) {
    auto received = co_await wire::receive<wire::AuthToTracker>(*loop, *channel);
    if (!received || !received->message.has_grant()) co_return;
    *last = received->message.grant();
    wire::TrackerToAuth stored;
    stored.mutable_grant_stored()->set_request(last->request());
    (void)co_await wire::send(*loop, *channel, stored);
  }
}

io::Task<void> serve_login(Fixture* fixture, io::Loop* loop, io::Channel channel) {
  LoginLink link(*loop, *fixture->verifier, fixture->tracker, fixture->mechanisms,
                 fixture->counters, std::move(channel));
  co_await link.serve();
}

wire::LoginToAuth start(uint64_t request, std::string mechanism, std::string response) {
  wire::LoginToAuth message;
  message.mutable_start()->set_request(request);
  message.mutable_start()->set_mechanism(std::move(mechanism));
  message.mutable_start()->set_initial_response(std::move(response));
  message.mutable_start()->set_remote_address("192.0.2.200");
  return message;
}

// What one login process can do with its channel; `tracker` is null where there is none.
using Script = io::Task<void> (*)(io::Loop* loop, io::Channel* login, Fixture* fixture,
                                  wire::AuthToTracker::Grant* last);

io::Task<int> stage(io::Loop* loop, Script script, bool with_tracker) {
  Fixture fixture(*loop);
  auto login = io::Channel::pair();
  auto tracker = io::Channel::pair();
  EXPECT_TRUE(login && tracker);
  wire::AuthToTracker::Grant last;
  io::Scope scope(*loop, co_await io::current_scope());
  EXPECT_TRUE(fixture.verifier->start(scope, {}));
  scope.spawn(serve_login(&fixture, loop, std::move(login->second)));
  if (with_tracker) {
    scope.spawn(fixture.tracker.serve(std::move(tracker->second)));
    scope.spawn(play_tracker(loop, &tracker->first, &last));
  }
  co_await script(loop, &login->first, &fixture, &last);
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

void perform(Script script, bool with_tracker = true) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  (*loop)->run(stage(loop->get(), script, with_tracker));
}

io::Task<wire::AuthToLogin> ask(io::Loop* loop, io::Channel* login, wire::LoginToAuth message) {
  EXPECT_TRUE(co_await wire::send(*loop, *login, message));
  auto answer = co_await wire::receive<wire::AuthToLogin>(*loop, *login);
  EXPECT_TRUE(answer);
  co_return answer ? answer->message : wire::AuthToLogin();
}

io::Task<void> right_password(io::Loop* loop, io::Channel* login, Fixture* fixture,
                              wire::AuthToTracker::Grant* last) {
  for (int i = 0; i < 2; ++i) {
    auto answer = co_await ask(loop, login, start(uint64_t(7 + i), "PLAIN", "\0Anna\0secret"s));
    EXPECT_TRUE(answer.has_granted());
    EXPECT_EQ(answer.granted().request(), uint64_t(7 + i));
    EXPECT_EQ(answer.granted().user(), "anna");
    EXPECT_EQ(answer.granted().grant().size(), 16u);
    EXPECT_EQ(answer.granted().grant(), last->grant()) << "the tracker has it already";
    EXPECT_EQ(last->identity().user(), "anna");
    EXPECT_EQ(last->identity().uid(), 1000u);
    EXPECT_EQ(last->identity().home(), "/home/anna");
    EXPECT_EQ(last->limits().sessions_per_user(), 4u);
  }
  EXPECT_EQ(fixture->verifier->hashed_total(), 1u);
  EXPECT_EQ(fixture->verifier->cache_hits_total(), 1u);
}
TEST(AuthLinks, a_right_password_is_granted_and_the_second_time_from_the_cache) {
  perform(right_password);
}

io::Task<void> wrong_ones(io::Loop* loop, io::Channel* login, Fixture*,
                          wire::AuthToTracker::Grant*) {
  uint64_t request = 1;
  for (const std::string& message :
       {"\0anna\0wrong"s, "\0nobody\0secret"s, "\0ben\0x"s, "\0carl\0x"s}) {
    auto answer = co_await ask(loop, login, start(request++, "PLAIN", message));
    const bool refused = answer.has_refused();
    EXPECT_EQ(refused, message[1] != 'c') << "carl is at home in 192.0.2.0/24";
    if (refused) EXPECT_EQ(answer.refused().reason(), wire::AuthToLogin::Refused::CREDENTIALS);
  }
  for (auto [mechanism, message] : {std::pair("PLAIN", "garbage"), std::pair("EXTERNAL", "")}) {
    auto answer = co_await ask(loop, login, start(request++, mechanism, message));
    EXPECT_EQ(answer.refused().reason(), wire::AuthToLogin::Refused::PROTOCOL);
  }
}
TEST(AuthLinks, wrong_passwords_and_unknown_users_are_refused_alike) { perform(wrong_ones); }

io::Task<void> login_mechanism(io::Loop* loop, io::Channel* login, Fixture*,
                               wire::AuthToTracker::Grant*) {
  auto first = start(1, "LOGIN", "");
  first.mutable_start()->clear_initial_response();
  EXPECT_EQ((co_await ask(loop, login, first)).challenge().data(), "Username:");
  wire::LoginToAuth next;
  next.mutable_continue_()->set_request(1);
  next.mutable_continue_()->set_response("anna");
  EXPECT_EQ((co_await ask(loop, login, next)).challenge().data(), "Password:");
  next.mutable_continue_()->set_response("secret");
  EXPECT_TRUE((co_await ask(loop, login, next)).has_granted());
}
TEST(AuthLinks, login_asks_twice) { perform(login_mechanism); }

io::Task<void> aborted(io::Loop* loop, io::Channel* login, Fixture* fixture,
                       wire::AuthToTracker::Grant*) {
  EXPECT_TRUE(co_await wire::send(*loop, *login, start(1, "PLAIN", "\0anna\0secret"s)));
  wire::LoginToAuth abort;
  abort.mutable_abort()->set_request(1);
  EXPECT_TRUE(co_await wire::send(*loop, *login, abort));
  // The number is free again; the first answer to it is the second exchange's.
  auto answer = co_await ask(loop, login, start(1, "PLAIN", "\0anna\0wrong"s));
  EXPECT_TRUE(answer.has_refused());
  EXPECT_EQ(fixture->counters.granted, 0u);
}
TEST(AuthLinks, an_aborted_exchange_is_never_answered) { perform(aborted); }

io::Task<void> used_twice(io::Loop* loop, io::Channel* login, Fixture*,
                          wire::AuthToTracker::Grant*) {
  auto first = start(1, "LOGIN", "anna");
  EXPECT_TRUE((co_await ask(loop, login, first)).has_challenge());
  EXPECT_TRUE(co_await wire::send(*loop, *login, first));
  auto answer = co_await wire::receive<wire::AuthToLogin>(*loop, *login);
  EXPECT_EQ(answer.error().kind, ErrorKind::kClosed);
}
TEST(AuthLinks, a_login_that_breaks_the_protocol_loses_its_link) { perform(used_twice); }

io::Task<void> no_tracker(io::Loop* loop, io::Channel* login, Fixture* fixture,
                          wire::AuthToTracker::Grant*) {
  EXPECT_TRUE(co_await wire::send(*loop, *login, start(1, "PLAIN", "\0anna\0secret"s)));
  while (fixture->verifier->hashed_total() == 0) (void)co_await loop->sleep(1);
  // The tracker comes while the grant is waiting for one, dies over it, and comes again.
  io::Scope scope(*loop, co_await io::current_scope());
  auto first = io::Channel::pair();
  scope.spawn(fixture->tracker.serve(std::move(first->second)));
  auto grant = co_await wire::receive<wire::AuthToTracker>(*loop, first->first);
  EXPECT_TRUE(grant);
  first->first.close();
  auto second = io::Channel::pair();
  wire::AuthToTracker::Grant last;
  scope.spawn(fixture->tracker.serve(std::move(second->second)));
  scope.spawn(play_tracker(loop, &second->first, &last));
  auto answer = co_await wire::receive<wire::AuthToLogin>(*loop, *login);
  EXPECT_TRUE(answer && answer->message.has_granted());
  EXPECT_EQ(last.grant(), answer->message.granted().grant());
  scope.cancel();
  co_await scope.join();
}
TEST(AuthLinks, a_grant_waits_for_a_tracker_that_is_restarted) { perform(no_tracker, false); }

io::Task<void> lookups(io::Loop* loop, io::Channel*, Fixture* fixture,
                       wire::AuthToTracker::Grant*) {
  io::Scope scope(*loop, co_await io::current_scope());
  auto ends = io::Channel::pair();
  scope.spawn(fixture->tracker.serve(std::move(ends->second)));
  for (auto [user, found] : {std::pair("anna", true), std::pair("nobody", false)}) {
    wire::TrackerToAuth lookup;
    lookup.mutable_lookup()->set_request(9);
    lookup.mutable_lookup()->set_user(user);
    EXPECT_TRUE(co_await wire::send(*loop, ends->first, lookup));
    auto answer = co_await wire::receive<wire::AuthToTracker>(*loop, ends->first);
    EXPECT_TRUE(answer);
    EXPECT_EQ(answer->message.looked_up().request(), 9u);
    EXPECT_EQ(answer->message.looked_up().found(), found);
    EXPECT_EQ(answer->message.looked_up().identity().uid(), found ? 1000u : 0u);
  }
  scope.cancel();
  co_await scope.join();
}
TEST(AuthLinks, the_trackers_lookups_are_answered) { perform(lookups, false); }

}  // namespace
}  // namespace dormouse::auth
