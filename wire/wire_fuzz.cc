// Every message of every link, as a hostile peer might send it. Input: one byte that chooses the
// link's direction, one byte of descriptor count, then the datagram. What parses must survive
// validation and a round through our own serializer.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/control.pb.h"
#include "wire/link.h"
#include "wire/login_auth.pb.h"
#include "wire/login_den.pb.h"
#include "wire/relay.pb.h"
#include "wire/session_state.pb.h"
#include "wire/validate.h"

namespace dormouse::wire {
namespace {

template <class T>
void round_trip(std::string_view bytes) {
  T message;
  if (!parse(bytes, message)) return;
  // Not serialize(): a hostile message may grow past our own bound (a packed field sent unpacked
  // shrinks, a default sent explicitly vanishes, but nothing forbids growth).
  std::string again;
  DORMOUSE_CHECK(message.SerializeToString(&again), "what was parsed can be serialized");
  T back;
  DORMOUSE_CHECK(back.ParseFromString(again), "and parsed again");
}

template <class T>
void validated(std::string_view bytes, size_t fd_count) {
  round_trip<T>(bytes);
  T message;
  if (!parse(bytes, message)) return;
  Result<> valid = validate(message, fd_count);
  if (!valid) DORMOUSE_CHECK(!valid.error().message.empty(), "a refusal says why");
}

void one(uint8_t which, size_t fd_count, std::string_view bytes) {
  switch (which) {
    case 'a':
      return validated<DenToTracker>(bytes, fd_count);
    case 'b':
      return validated<TrackerToDen>(bytes, fd_count);
    case 'c':
      return validated<AuthToTracker>(bytes, fd_count);
    case 'd':
      return validated<TrackerToAuth>(bytes, fd_count);
    case 'e':
      return validated<WorkerToTracker>(bytes, fd_count);
    case 'f':
      return validated<TrackerToWorker>(bytes, fd_count);
    case 'g':
      return validated<DenToWatch>(bytes, fd_count);
    case 'h':
      return validated<WatchToDen>(bytes, fd_count);
    case 'i':
      return round_trip<LoginToAuth>(bytes);
    case 'j':
      return round_trip<AuthToLogin>(bytes);
    case 'k':
      return round_trip<LoginToDen>(bytes);
    case 'l':
      return round_trip<DenToLogin>(bytes);
    case 'm':
      return round_trip<DenToWorker>(bytes);
    case 'n':
      return round_trip<WorkerToDen>(bytes);
    case 'o':
      return round_trip<MasterToRole>(bytes);
    case 'p':
      return round_trip<RoleToMaster>(bytes);
    case 'q':
      return round_trip<SessionState>(bytes);
    case 'r':
      return validated<WorkerToWatch>(bytes, fd_count);
    case 's':
      return validated<WatchToWorker>(bytes, fd_count);
    default:
      return;
  }
}

}  // namespace
}  // namespace dormouse::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  dormouse::wire::one(data[0], data[1] & 7,
                      std::string_view(reinterpret_cast<const char*>(data + 2), size - 2));
  return 0;
}
