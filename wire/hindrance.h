#pragma once
// The reasons for which a quiet session is not parked (relay.proto, Hindrance), as the views show
// them: a name to count by, and a sentence.

#include <string_view>

#include "wire/relay.pb.h"

namespace dormouse::wire {

inline constexpr std::string_view name_of(Hindrance::Kind kind) {
  switch (kind) {
    case Hindrance::NONE:
      return "none";
    case Hindrance::UNCONFIRMED:
      return "unconfirmed";
    case Hindrance::DIRECTORIES:
      return "directories";
    case Hindrance::NOT_WATCHED:
      return "not_watched";
    case Hindrance::INPUT_UNREAD:
      return "input_unread";
    case Hindrance::HALF_RECORD:
      return "half_record";
    case Hindrance::HALF_BLOCK:
      return "half_block";
    case Hindrance::RECORD_LONG:
      return "record_long";
    case Hindrance::SLAB_FULL:
      return "slab_full";
    case Hindrance::NO_MEMORY:
      return "no_memory";
    case Hindrance::CLIENT_GONE:
      return "client_gone";
    case Hindrance::HALF_COMMAND:
      return "half_command";
    case Hindrance::STATE_LONG:
      return "state_long";
    case Hindrance::STORE_FAILED:
      return "store_failed";
    case Hindrance::CHANGING:
      return "changing";
    default:
      return "unknown";
  }
}

inline constexpr std::string_view text_of(Hindrance::Kind kind) {
  switch (kind) {
    case Hindrance::NONE:
      return "nothing hinders";
    case Hindrance::UNCONFIRMED:
      return "the tracker has not confirmed the session yet";
    case Hindrance::DIRECTORIES:
      return "its directories cannot be named to the watch";
    case Hindrance::NOT_WATCHED:
      return "its mailbox is not watched";
    case Hindrance::INPUT_UNREAD:
      return "bytes from the client are not read yet";
    case Hindrance::HALF_RECORD:
      return "half a TLS record from the client";
    case Hindrance::HALF_BLOCK:
      return "half a deflate block from the client";
    case Hindrance::RECORD_LONG:
      return "its record would be too long";
    case Hindrance::SLAB_FULL:
      return "the slab is full";
    case Hindrance::NO_MEMORY:
      return "no memory to pack its input history";
    case Hindrance::CLIENT_GONE:
      return "the client is gone";
    case Hindrance::HALF_COMMAND:
      return "half a command from the client";
    case Hindrance::STATE_LONG:
      return "its state is too long";
    case Hindrance::STORE_FAILED:
      return "its mailbox cannot be looked at";
    case Hindrance::CHANGING:
      return "its mailbox changed while it was offered";
    default:
      return "unknown";
  }
}

}  // namespace dormouse::wire
