#pragma once
// Den: owns every authenticated client socket of one shard. A connection is here in one of two
// ways: awake, as a Session that relays to a worker; or parked, as a slot of the socket table, a
// record in the slab, and nothing else. The den answers small talk, keeps connections alive,
// refreshes them when their mailbox changed and wakes them when they speak.
//
// den.cc        slots, the life of the role, what sessions need
// den_sleep.cc  parked connections: input, small talk, keepalive, announcements, refresh queue
// den_pressure.cc  how long changes, DONE and the ends of connections wait
// den_adopt.cc  what a former den of the shard has left
// den_links.cc  login, tracker
// den_watch.cc  the watch
// den_view.cc   the view

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "hibernate/coalescer.h"
#include "hibernate/refresh_queue.h"
#include "hibernate/session.h"
#include "hibernate/slab.h"
#include "hibernate/small_talk.h"
#include "hibernate/unread_queue.h"
#include "hibernate/watches.h"
#include "io/socket_table.h"
#include "io/timer_wheel.h"
#include "role/process.h"
#include "tls/record_crypto.h"
#include "wire/den_watch.pb.h"
#include "wire/login_den.pb.h"
#include "wire/outbox.h"

namespace dormouse::hibernate {

struct LinkLife;

struct DenCounters {
  uint64_t handed_over = 0;  // connections from login
  uint64_t closed = 0;
  uint64_t parks = 0;
  uint64_t crossed = 0;  // a client's bytes crossed the park handshake
  std::array<uint64_t, wire::Hindrance::Kind_ARRAYSIZE> hindered{};  // by what, parkings
  uint64_t attaches = 0;                                             // woken by the client
  uint64_t refreshes = 0;                                            // answered
  uint64_t announced = 0;  // EXISTS told to a sleeper, with no worker
  uint64_t refreshes_put_off = 0;
  uint64_t refreshes_held_back = 0;
  uint64_t sweeps = 0;
  uint64_t talk_done = 0;  // answered here, with no worker
  uint64_t talk_idle = 0;
  uint64_t talk_noop = 0;
  uint64_t talk_check = 0;
  uint64_t talk_logout = 0;
  uint64_t talk_delayed = 0;  // by pressure
  uint64_t keepalives = 0;
  uint64_t workers_lost = 0;  // under a session
  uint64_t broken_records = 0;
  uint64_t adopted = 0;        // sleepers taken over from a former den
  uint64_t settled_sends = 0;  // and of them those whose answer it had sent as it died
  uint64_t resent = 0;         // or was about to send
  uint64_t not_adopted = 0;    // connections that a former den left awake or half sent
};

class Den final : public role::Role, public io::SocketEvents {
 public:
  // Takes the shard's slab and socket table. `process` outlives the den.
  static Result<std::unique_ptr<Den>> create(role::Process& process, Slab slab);
  ~Den() override;

  // role::Role
  Result<> start() override;
  void link(role::Link link) override;
  void reload() override;
  void pressure(tuning::Pressure level, const std::string& text) override;
  void drain(uint32_t grace_ms, const std::string& text) override;
  std::string view() override;

  // io::SocketEvents
  void socket_readable(uint32_t slot, bool ended) override;
  void socket_received(uint32_t slot, int32_t result, std::span<std::byte> bytes) override;
  void socket_sent(uint32_t slot, int32_t result) override;
  void socket_send_settled(uint32_t slot, int32_t result) override;

  // For sessions.
  io::Loop& loop() { return process_.loop(); }
  io::SocketTable& table() { return *table_; }
  DenCounters& counters() { return counters_; }
  bool tracker_connected() const { return tracker_ != nullptr; }
  io::Task<Result<void>> tracker_up();  // waits for one; kTimeout
  uint64_t new_request(uint32_t slot);
  void forget_request(uint64_t request) { requests_.erase(request); }
  bool post_to_tracker(const wire::DenToTracker& message, io::Fd fd = {});
  // What a record keeps of a worker's directories: the part that the watch keys by.
  Result<std::vector<std::string>> kept_directories(
      const google::protobuf::RepeatedPtrField<wire::Directory>& directories) const;
  // The slot waits for changes there; the answer comes by Session::watch_answer, perhaps at once.
  void watch(uint32_t slot, const std::vector<std::string>& directories);
  void unwatch(uint32_t slot);
  bool watched(uint32_t slot) const;
  // Its changes are told late (den_watch.proto, Subscribed).
  bool polled(uint32_t slot) const;
  // Makes `parts` the slot's record. `goes_out`: the wire bytes that make it exact, which are sent
  // next. False: a part is over its bound, or the slab is full.
  bool publish(uint32_t slot, const RecordParts& parts, std::span<const std::byte> goes_out = {});
  // Between these two only the ring's completion tells the next den whether the record is exact.
  void mark_sending(uint32_t slot, bool sending);
  // From here on only this den can go on with the record, until another one is published.
  void hold(uint32_t slot);
  // Sends what makes the record exact, all that is still to be sent; in one call where the slot has
  // a record, so that a den that dies leaves the completion in the ring.
  void send_recorded(uint32_t slot, std::span<const std::byte> bytes);
  void awoken(uint32_t slot);  // a worker has the session: the record goes
  void finish(uint32_t slot, SessionEnd end);

 private:
  // Bytes on their way to a connection that has no Session.
  struct Outgoing {
    std::shared_ptr<tls::Bytes> bytes;
    size_t sent_bytes = 0;
    tls::Bytes next;  // behind them
    bool then_close = false;
    bool input_waits = false;  // the socket became readable meanwhile
  };
  // A parked connection that has sent half a TLS record.
  struct Drowsy {
    ClientStream stream;
    std::string input;
    uint64_t since_ms = 0;
  };

  Den(role::Process& process, Slab slab, tls::RecordCrypto crypto);

  // den.cc
  void start_session(uint32_t slot, Session::Purpose purpose, RecordParts parts,
                     ClientStream stream, std::string input, tls::Bytes output, bool sweep);
  io::Scope& scope_of(Session::Purpose purpose);
  io::Task<void> keep_sessions();
  void release(uint32_t slot, const std::string& user, const Address& address, uint64_t session);
  void release_parked(uint32_t slot);
  io::Task<void> tick();
  io::Task<void> drain_task(uint32_t grace_ms, std::string text);

  // den_adopt.cc
  void adopt();
  void adopt_slot(uint32_t slot);
  bool may_go_on(uint32_t slot, RecordView view, tls::Bytes& again);

  // den_sleep.cc
  void fall_asleep(uint32_t slot);
  void take_input(uint32_t slot);
  void process_input(uint32_t slot, std::span<std::byte> bytes);
  // The stream it speaks, and what it has said that nobody answered.
  Result<Drowsy> listen(uint32_t slot, const RecordView& view);
  SmallTalk answer(uint32_t slot, const RecordView& view, std::string_view input);
  // The record it has after `talked`. The error: it cannot be written down.
  static Result<RecordParts> after_talk(const RecordView& view, const SmallTalk& talked,
                                        Drowsy& heard);
  void transmit(uint32_t slot, tls::Bytes bytes, bool then_close);
  bool say_to_parked(uint32_t slot, std::string_view text, bool then_close,
                     std::optional<uint32_t> exists = std::nullopt);
  void announce(uint32_t slot);
  void set_due(uint32_t slot);
  void due(uint32_t slot);
  void mailbox_changed(uint32_t slot);
  void mail_arrived(uint32_t slot, uint32_t messages, uint64_t after_ms);
  void start_refreshes();
  bool may_refresh(uint32_t slot) const;
  void look_again(uint32_t slot);
  void sweep_all();

  // den_pressure.cc
  void push_changes(uint32_t slot, bool held = false);
  io::Task<void> push_held();
  void bend();
  bool delay_input(uint32_t slot);
  io::Task<void> take_delayed();
  void leave(uint32_t slot);
  io::Task<void> see_off();
  bool input_under_way(uint32_t slot) const;

  // den_links.cc
  io::Task<void> serve_login(role::Link link);
  io::Task<void> serve_tracker(role::Link link);
  io::Task<void> hear_tracker(LinkLife& life);
  void handover(wire::LoginToDen::Handover handover, io::Fd socket);
  void tracker_said(const wire::TrackerToDen& message);
  void send_census();
  void kick(const std::string& user, const std::string& text);
  void tell_load();
  Session* session_of(uint64_t request);

  // den_watch.cc
  io::Task<void> serve_watch(role::Link link);
  io::Task<void> hear_watch(LinkLife& life);
  void watch_said(const wire::WatchToDen& message);
  bool in_watched_store(std::string_view handle) const;
  void subscribe(WatchId watch, const std::vector<std::string>& directories);
  void subscribe_all();

  role::Process& process_;
  io::Scope woken_;   // sessions of sleepers that have spoken
  io::Scope pushed_;  // refreshes
  io::Event never_;   // for keep_sessions()
  Slab slab_;
  tls::RecordCrypto crypto_;
  std::unique_ptr<io::SocketTable> table_;
  io::TimerWheel wheel_;
  Watches watches_;
  RefreshQueue refreshes_;
  Coalescer coalescer_;
  bool pushing_held_ = false;  // push_held() runs
  tuning::Pressure pressure_ = tuning::Pressure::kCalm;
  UnreadQueue delayed_;          // sleepers in IDLE that have spoken
  bool taking_delayed_ = false;  // take_delayed() runs
  UnreadQueue leaving_;          // sleepers whose client is gone
  bool seeing_off_ = false;      // see_off() runs
  DenCounters counters_;

  std::vector<uint32_t> free_slots_;
  std::unordered_map<uint32_t, std::unique_ptr<Session>> sessions_;
  std::unordered_map<uint32_t, Outgoing> outgoing_;
  std::unordered_map<uint32_t, Drowsy> drowsy_;
  std::unordered_map<uint64_t, uint32_t> requests_;  // at the tracker -> slot
  uint64_t last_request_ = 0;
  uint32_t parked_ = 0;
  uint32_t told_load_ = 0;
  uint32_t handed_over_ = 0;  // since then
  bool draining_ = false;

  wire::Outbox* tracker_ = nullptr;
  wire::Outbox* watch_ = nullptr;
  std::vector<wire::Outbox*> logins_;
  io::Event tracker_up_;
  bool by_handle_ = true;
  std::vector<std::string> watched_stores_;  // by handle: of which file systems; none: of all
  bool topics_ = false;                      // the watch wants mailboxes' topics
  std::string watch_backend_ = "none";
  uint64_t started_ms_ = 0;
};

}  // namespace dormouse::hibernate
