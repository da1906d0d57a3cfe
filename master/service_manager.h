#pragma once
// What we tell the service manager (sd_notify); nothing where there is none.

#include <cstdint>

namespace dormouse::master {

class ServiceManager {
 public:
  void ready();
  void reloading();  // ready() ends it
  void stopping();
  void alive();
  // How often it wants to hear alive(); 0: not at all.
  uint64_t watchdog_interval_ms() const;
};

}  // namespace dormouse::master
