#pragma once
// What a Loop calls when a time has come (Loop::add_timer).

namespace dormouse::io {

class Timer {
 public:
  virtual void expire() = 0;

 protected:
  virtual ~Timer() = default;
};

}  // namespace dormouse::io
