#pragma once
// ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 7.4.2) from what mime/ found in a message.

#include <string>

#include "mime/message.h"

namespace dormouse::imap {

// The parenthesized value, without the item's name. Sender and Reply-To default to From, as
// RFC 3501 wants.
void put_envelope(std::string& out, const mime::Envelope& envelope);

// The parenthesized value of BODY (extended false) or BODYSTRUCTURE (true).
void put_body_structure(std::string& out, const mime::MessageStructure& structure, bool extended);

}  // namespace dormouse::imap
