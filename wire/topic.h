#pragma once
// Topic: how a mailbox is called by those who know its user and its name, but no directory: 64 bits
// of a hash of both. Two mailboxes with one topic would be looked at for each other's changes.

#include <cstdint>
#include <string_view>

namespace dormouse::wire {

// `mailbox`: UTF-8, levels separated by '/'; INBOX in any case. Empty: the list of the user's
// mailboxes and subscriptions. Never 0.
uint64_t topic_of(std::string_view user, std::string_view mailbox);

}  // namespace dormouse::wire
