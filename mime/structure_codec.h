#pragma once
// MessageStructure as bytes, for the index: from them every ENVELOPE, BODY, BODYSTRUCTURE and
// section offset is had without the message. The grammar stands in structure_codec.cc.

#include <string>
#include <string_view>

#include "io/result.h"
#include "mime/message.h"

namespace dormouse::mime {

// Written into the bytes; decoding refuses any other, and the message is then parsed again.
inline constexpr unsigned char kStructureVersion = 1;

std::string encode_structure(const MessageStructure& structure);

// kInvalid for bytes that encode_structure() did not write (bounds, tree shape and offsets are
// checked: an index may be damaged); whatever comes out is safe to index and to write.
Result<MessageStructure> decode_structure(std::string_view bytes);

// The message's own envelope only, without reading the rest.
Result<Envelope> decode_envelope(std::string_view bytes);

}  // namespace dormouse::mime
