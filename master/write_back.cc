#include "master/write_back.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>

#include "io/fd.h"
#include "io/result.h"
#include "role/log.h"

namespace dormouse::master {
namespace {

int sync_file_system(const std::string& path) {
  io::Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return directory && ::syncfs(directory.get()) == 0 ? 0 : errno;
}

}  // namespace

void WriteBack::begin(uint64_t now_ms) {
  if (state_->under_way || (begun_ms_ && now_ms - *begun_ms_ < kApartMs)) return;
  complain(state_->error);
  begun_ms_ = now_ms;
  state_->under_way = true;
  try {
    std::thread([state = state_, path = path_] {
      state->error = sync_file_system(path);
      if (state->error == 0) ++state->done;
      state->under_way = false;
    }).detach();
  } catch (const std::system_error& error) {
    state_->error = error.code().value();
    state_->under_way = false;
  }
}

void WriteBack::complain(int error) {
  if (error == 0 || error == complained_) return;
  complained_ = error;
  role::log_warning("write-back-failed",
                    {{"path", path_}, {"reason", fail_errno(error, "syncfs").error().message}});
}

}  // namespace dormouse::master
