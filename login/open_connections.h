#pragma once
// OpenConnections: who is being served, bounded in all and per address, and who goes when somebody
// newer comes: the one that has said nothing useful for longest. Otherwise a few slow strangers
// could shut everybody out.
//
// And no more at once than get on: of those who came a moment ago only so many are in hand, the
// next wait. In a storm each has its answers sooner, and nobody grows old in here while others are
// let in. Who takes longer than that moment (a slow client, a stranger who says nothing) is no
// longer counted.
//
// An engine: it is told the time and knows connections by number and as guests.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "login/peer_address.h"

namespace dormouse::login {

class OpenConnections {
 public:
  // A connection, as far as its place is concerned.
  class Guest {
   public:
    // False: this is not the moment to drop it, or it is leaving already.
    virtual bool may_leave() const = 0;
    // It is cancelled and says "* BYE text", soon.
    virtual void leave(std::string text) = 0;

   protected:
    ~Guest() = default;
  };
  struct Bounds {
    uint32_t in_all = 0;       // 0: none
    uint32_t per_address = 0;  // 0: none
    uint64_t old_ms = 0;       // younger ones do not have to go
    uint32_t young = 0;        // at once; 0: no bound
    uint64_t young_ms = 0;     // for so long
  };

  void set_bounds(const Bounds& bounds) { bounds_ = bounds; }

  // Whether one more may come now: not too many just did, and there is a place, or somebody who can
  // make one.
  bool has_room(uint64_t now_ms);
  bool is_full(const AddressKey& address) const;
  // Where there is no place, somebody leaves for one more. True: somebody does.
  bool make_room(uint64_t now_ms);

  // One more, and its number. It counts from now on; `guest` is known once it is seated.
  uint64_t enter(const AddressKey& address, uint64_t now_ms);
  // `guest` is borrowed until remove().
  void seat(uint64_t number, Guest& guest) { open_.at(number).guest = &guest; }
  void remove(uint64_t number);
  void all_leave(const std::string& text);

  size_t size() const { return open_.size(); }
  size_t young(uint64_t now_ms) {
    age(now_ms);
    return young_;
  }
  size_t addresses() const { return per_address_.size(); }

 private:
  struct Place {
    AddressKey address;
    Guest* guest = nullptr;
    uint64_t since_ms = 0;
  };
  Guest* evictable(uint64_t now_ms) const;
  void age(uint64_t now_ms);

  Bounds bounds_;
  std::map<uint64_t, Place> open_;  // by age
  std::unordered_map<AddressKey, uint32_t, AddressKeyHash> per_address_;
  uint64_t next_number_ = 1;
  size_t young_ = 0;         // open, from young_from_ on
  uint64_t young_from_ = 1;  // a number
};

}  // namespace dormouse::login
