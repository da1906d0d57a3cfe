#include "master/service_manager.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <time.h>

namespace dormouse::master {

void ServiceManager::ready() { sd_notify(0, "READY=1"); }

void ServiceManager::reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  // Type=notify-reload tells an old message from a new one by its time.
  sd_notify(0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                           uint64_t(now.tv_sec) * 1'000'000 + uint64_t(now.tv_nsec) / 1000)
                   .c_str());
}

void ServiceManager::stopping() { sd_notify(0, "STOPPING=1"); }
void ServiceManager::alive() { sd_notify(0, "WATCHDOG=1"); }

uint64_t ServiceManager::watchdog_interval_ms() const {
  uint64_t within_us = 0;
  if (sd_watchdog_enabled(0, &within_us) <= 0) return 0;
  // Twice in the time given, as its manual page says.
  return within_us / 2000;
}

}  // namespace dormouse::master
