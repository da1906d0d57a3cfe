#pragma once
// The NOTIFY part of a session state (wire/session_state.proto), to bytes and back. For
// session_state.cc.

#include "imap/session_state.h"
#include "wire/session_state.pb.h"

namespace dormouse::imap {

// kLimit: two mailboxes have one mark.
Result<> encode_notify(const NotifyState& state, wire::SessionState::Notify& out);
// kInvalid for whatever encode_notify() cannot have written.
Result<NotifyState> decode_notify(const wire::SessionState::Notify& in);

}  // namespace dormouse::imap
