#include "tuning/synthetic_trace.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>

namespace dormouse::tuning {
namespace {

constexpr double kMinute = 60;
constexpr double kHour = 3600;

// splitmix64, and distributions of our own: those of the standard differ between libraries.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  double unit() { return (double(next() >> 11) + 0.5) / 9007199254740992.0; }
  double between(double low, double high) { return low + (high - low) * unit(); }
  uint32_t count(uint32_t low, uint32_t high) { return low + uint32_t(next() % (high - low + 1)); }
  bool happens(double chance) { return unit() < chance; }
  double exponential(double mean) { return -mean * std::log(unit()); }
  // By its median; `spread` 1: a sixth of all is over e times the median.
  double lognormal(double median, double spread) {
    double normal = std::sqrt(-2 * std::log(unit())) * std::cos(2 * std::numbers::pi * unit());
    return median * std::exp(spread * normal);
  }

 private:
  uint64_t state_;
};

// How busy people are at each hour of the day, of 1.
constexpr std::array<double, 24> kBusy = {.05, .03, .02, .02, .02, .05, .2, .5, .8, 1,  1,  .9,
                                          .8,  .8,  .9,  .9,  .8,  .7,  .6, .5, .5, .4, .3, .15};

struct Raw {
  double at_s;
  size_t number;  // in the order in which they were made
  uint32_t session;
  TraceEvent event;
  uint32_t client;
};

class Maker {
 public:
  Maker(const SyntheticTrace& wanted)
      : end_s_(double(wanted.hours) * kHour), dice_(wanted.seed * 2 + 1) {}

  void phone();
  void desktop();
  void poller();
  void webmail();
  Trace finish();

 private:
  // One connection, from its beginning on.
  struct Line {
    Maker* maker;
    uint32_t session;
    double now_s;
    bool idle = false;

    void say(TraceEvent event, uint32_t client = 0) {
      maker->raw_.push_back({now_s, maker->raw_.size(), session, event, client});
    }
    // Commands one after the other, the first now, with a client's round trip between them.
    void task(uint32_t commands, double trip_low_s, double trip_high_s) {
      if (idle) say(TraceEvent::kDone);
      idle = false;
      for (uint32_t i = 0; i < commands; ++i) {
        now_s += maker->dice_.between(trip_low_s, trip_high_s);
        say(TraceEvent::kCommand);
      }
    }
    void rest(double after_s) {
      now_s += after_s;
      say(TraceEvent::kIdle);
      idle = true;
    }
    // DONE and IDLE again, until then.
    void renew(double until_s, double every_s) {
      while (idle && now_s + every_s < until_s) {
        now_s += every_s;
        say(TraceEvent::kDone);
        now_s += 0.1;
        say(TraceEvent::kIdle);
      }
      now_s = std::max(now_s, until_s);
    }
  };

  Line open(double at_s, uint32_t client) {
    Line line{this, ++sessions_, at_s};
    line.say(TraceEvent::kOpen);
    line.now_s += 0.05;
    line.say(TraceEvent::kId, client);
    return line;
  }
  // The next time after `after_s` at which something happens that happens `per_day` times on a day
  // like kBusy.
  double next_by_day(double after_s, double per_day) {
    static const double busy_hours = std::accumulate(kBusy.begin(), kBusy.end(), 0.0);
    double busiest_per_s = per_day / (busy_hours * kHour);
    double at_s = after_s;
    while (at_s < end_s_) {
      at_s += dice_.exponential(1 / busiest_per_s);
      if (dice_.happens(kBusy[size_t(at_s / kHour) % 24])) return at_s;
    }
    return end_s_ + 1;
  }
  void wait_in_idle(Line& line, double until_s, double renew_s, double mails_per_day,
                    double reads_per_day, double trip_s);
  void webmail_visit(Line line, bool keeps);
  void desktop_folder(double from_s, double until_s, double renew_s, double mails_per_day,
                      double reads_per_day, uint32_t client);
  void desktop_checks(double from_s, double until_s, uint32_t client);

  double end_s_;
  Dice dice_;
  uint32_t sessions_ = 0;
  std::vector<Raw> raw_;
};

// Programs that name themselves, by kind.
constexpr uint32_t kPhoneClients = 3;
constexpr uint32_t kDesktopClients = 3;
constexpr uint32_t kFirstDesktop = 1 + kPhoneClients;
constexpr uint32_t kFirstPoller = kFirstDesktop + kDesktopClients;
constexpr uint32_t kFirstWebmail = kFirstPoller + 3;

// In IDLE: new mail is looked at by the program at once (one task); now and then its user reads.
void Maker::wait_in_idle(Line& line, double until_s, double renew_s, double mails_per_day,
                         double reads_per_day, double trip_s) {
  double mail_s = next_by_day(line.now_s, mails_per_day);
  double read_s = next_by_day(line.now_s, reads_per_day);
  while (true) {
    double next_s = std::min(mail_s, read_s);
    line.renew(std::min(next_s, until_s), renew_s);
    if (next_s >= until_s) return;
    bool reads = read_s < mail_s;
    line.now_s += reads ? 0 : dice_.between(0.05, 1.5);
    line.task(dice_.count(1, 3), trip_s / 2, trip_s);
    line.rest(trip_s);
    // A user opens one mail after the other, thinking in between; the program idles meanwhile.
    uint32_t mails = reads ? dice_.count(1, 15) : 0;
    for (uint32_t i = 0; i < mails; ++i) {
      double think_s = dice_.lognormal(12, 1.1);
      if (line.now_s + think_s >= until_s) break;
      line.now_s += think_s;
      line.task(dice_.count(1, 4), trip_s / 2, trip_s);
      line.rest(trip_s);
    }
    mail_s = std::max(mail_s, line.now_s);
    if (!reads) mail_s = next_by_day(line.now_s, mails_per_day);
    if (reads) read_s = next_by_day(line.now_s, reads_per_day);
  }
}

// IDLE all day; the network takes the connection away every few hours.
void Maker::phone() {
  constexpr std::array kRenewMinutes = {9.0, 14.0, 28.0};
  uint32_t client = dice_.count(0, kPhoneClients - 1);
  double mails_per_day = dice_.lognormal(25, 0.8);
  double reads_per_day = dice_.lognormal(8, 0.6);
  double now_s = dice_.between(0, kHour);
  while (now_s < end_s_) {
    Line line = open(now_s, 1 + client);
    double until_s = std::min(end_s_, now_s + dice_.exponential(3 * kHour));
    line.task(dice_.count(3, 6), 0.05, 0.4);
    line.rest(0.2);
    wait_in_idle(line, until_s, kRenewMinutes[client] * kMinute, mails_per_day, reads_per_day, 0.3);
    line.say(TraceEvent::kClose);
    now_s = line.now_s + dice_.lognormal(20, 1.5);
  }
}

void Maker::desktop_folder(double from_s, double until_s, double renew_s, double mails_per_day,
                           double reads_per_day, uint32_t client) {
  Line line = open(from_s, client);
  line.task(dice_.count(3, 10), 0.01, 0.1);
  line.rest(0.3);
  wait_in_idle(line, until_s, renew_s, mails_per_day, reads_per_day, 0.08);
  line.say(TraceEvent::kClose);
}

// The fifth connection: asks for the state of other folders every ten minutes, in no IDLE.
void Maker::desktop_checks(double from_s, double until_s, uint32_t client) {
  Line line = open(from_s, client);
  uint32_t folders = dice_.count(2, 12);
  while (true) {
    line.task(folders, 0.01, 0.08);
    double next_s = line.now_s + 10 * kMinute + dice_.between(0, 2);
    if (next_s >= until_s) break;
    line.now_s = next_s;
  }
  line.now_s = until_s;
  line.say(TraceEvent::kClose);
}

void Maker::desktop() {
  uint32_t client = kFirstDesktop + dice_.count(0, kDesktopClients - 1);
  double renew_s = dice_.between(24, 29) * kMinute;
  double mails_per_day = dice_.lognormal(40, 0.8);
  bool always_on = dice_.happens(0.3);
  for (double day_s = 0; day_s < end_s_; day_s += 24 * kHour) {
    double from_s = day_s + (always_on ? dice_.between(0, 60) : dice_.lognormal(8.3, 0.1) * kHour);
    double until_s =
        std::min(end_s_, day_s + (always_on ? 24 : dice_.lognormal(17.5, 0.08)) * kHour);
    if (from_s + kMinute >= until_s) continue;
    desktop_folder(from_s, until_s, renew_s, mails_per_day, dice_.lognormal(25, 0.5), client);
    for (int folder = 0; folder < 3; ++folder) {
      desktop_folder(from_s + 1, until_s, renew_s, mails_per_day / 10, dice_.lognormal(3, 0.7),
                     client);
    }
    desktop_checks(from_s + 2, until_s, client);
  }
}

// A third asks NOOP, a third STATUS, a third connects anew each time.
void Maker::poller() {
  uint32_t kind = dice_.count(0, 2);
  constexpr std::array kEverySeconds = {20.0, 60.0, 120.0, 300.0, 600.0};
  double every_s = kEverySeconds[dice_.count(0, uint32_t(kEverySeconds.size()) - 1)];
  double mail_chance = 25 * every_s / (24 * kHour);
  double start_s = dice_.between(0, every_s);
  Line line = open(start_s, kFirstPoller + kind);
  line.task(3, 0.01, 0.2);
  while (line.now_s + every_s * 1.05 < end_s_) {
    if (kind == 2) {
      line.say(TraceEvent::kClose);
      line = open(line.now_s + every_s * dice_.between(0.95, 1.05), kFirstPoller + kind);
      line.task(dice_.count(2, 4), 0.01, 0.2);
      continue;
    }
    line.now_s += every_s * dice_.between(0.95, 1.05);
    if (kind == 0) line.say(TraceEvent::kTalk);
    if (kind == 1 || dice_.happens(mail_chance)) line.task(dice_.count(1, 2), 0.01, 0.2);
  }
  line.say(TraceEvent::kClose);
}

// One visit: clicks, each of which is a task of some milliseconds.
void Maker::webmail_visit(Line line, bool keeps) {
  line.task(4, 0.005, 0.03);
  for (uint32_t clicks = dice_.count(1, 25); clicks > 0; --clicks) {
    double next_s = line.now_s + dice_.lognormal(12, 1.2);
    if (!keeps) line.say(TraceEvent::kClose);
    if (next_s >= end_s_) break;
    if (keeps) line.now_s = next_s;
    if (!keeps) line = open(next_s, kFirstWebmail);
    line.task(dice_.count(1, 5), 0.005, 0.03);
  }
  // A proxy before the server holds the connection for another five minutes.
  if (keeps) line.now_s = std::min(end_s_, line.now_s + 5 * kMinute);
  if (keeps || line.now_s < end_s_) line.say(TraceEvent::kClose);
}

void Maker::webmail() {
  bool keeps = dice_.happens(0.5);
  double visits_per_day = dice_.lognormal(4, 0.6);
  double now_s = next_by_day(0, visits_per_day);
  while (now_s < end_s_) {
    webmail_visit(open(now_s, kFirstWebmail + (keeps ? 1 : 0)), keeps);
    now_s = next_by_day(std::max(now_s, raw_.back().at_s), visits_per_day);
  }
}

Trace Maker::finish() {
  std::erase_if(raw_, [this](const Raw& raw) { return raw.at_s > end_s_; });
  std::ranges::sort(raw_, {}, [](const Raw& raw) { return std::pair(raw.at_s, raw.number); });
  Trace trace;
  trace.end_ms = uint64_t(end_s_ * 1000);
  std::vector<uint32_t> numbers(sessions_ + 1);
  std::vector<bool> closed(sessions_ + 1);
  std::vector<uint32_t> clients(64);
  uint32_t last_client = 0;
  for (const Raw& raw : raw_) {
    if (closed[raw.session]) continue;
    uint32_t& number = numbers[raw.session];
    if (number == 0) number = ++trace.sessions;
    closed[raw.session] = raw.event == TraceEvent::kClose;
    TraceEntry entry{uint64_t(raw.at_s * 1000), number, raw.event, 0};
    if (raw.client != 0) {
      uint32_t& client = clients[raw.client];
      if (client == 0) client = ++last_client;
      entry.client = client;
    }
    trace.entries.push_back(entry);
  }
  return trace;
}

}  // namespace

std::string_view name_of(Population population) {
  switch (population) {
    case Population::kPhones:
      return "phones";
    case Population::kDesktops:
      return "desktops";
    case Population::kPollers:
      return "pollers";
    case Population::kWebmail:
      return "webmail";
    case Population::kMixed:
      return "mixed";
  }
  return "unknown";
}

Trace make_trace(const SyntheticTrace& wanted) {
  Maker maker(wanted);
  for (uint32_t user = 0; user < wanted.users; ++user) {
    Population kind = wanted.population;
    if (kind == Population::kMixed) {
      constexpr std::array kMix = {Population::kPhones, Population::kDesktops,
                                   Population::kPhones, Population::kPollers,
                                   Population::kPhones, Population::kWebmail};
      kind = kMix[user % kMix.size()];
    }
    switch (kind) {
      case Population::kPhones:
        maker.phone();
        break;
      case Population::kDesktops:
        maker.desktop();
        break;
      case Population::kPollers:
        maker.poller();
        break;
      default:
        maker.webmail();
    }
  }
  return maker.finish();
}

}  // namespace dormouse::tuning
