#pragma once
// A den's link to another role for as long as it lives: the channel, the messages that wait to be
// written to it, and the scope of their writer. Owned by the coroutine that reads the link, which
// cancels and joins the scope before it returns.

#include <utility>

#include "io/scope.h"
#include "role/process.h"
#include "wire/link.h"

namespace dormouse::hibernate {

struct LinkLife {
  LinkLife(io::Loop& loop, io::Scope* parent, role::Link link, size_t messages_max)
      : peer(std::move(link)), outbox(loop, peer.channel, messages_max), scope(loop, parent) {
    scope.spawn(outbox.run());
  }
  role::Link peer;
  wire::Outbox outbox;
  io::Scope scope;
};

}  // namespace dormouse::hibernate
