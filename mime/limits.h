#pragma once
// Bounds of the MIME engines. A message is hostile input: each of these is what one message may
// make us keep, whatever its size.

#include <cstddef>
#include <cstdint>

namespace dormouse::mime {

// Nesting of multipart and message/rfc822. Real mail stays below 10; deeper parts are kept as
// opaque application/octet-stream leaves.
inline constexpr std::size_t kDepthMax = 64;
// Parts of one message. Real mail stays below 200 (digests); what follows the last one counted
// belongs to the body of the multipart around it, but has no part number.
inline constexpr std::size_t kPartsMax = 4096;
// RFC 2046 5.1.1 allows 70 characters; longer ones are seen. A longer boundary is cut, and then
// compared by its first kBoundaryBytesMax bytes only.
inline constexpr std::size_t kBoundaryBytesMax = 200;
// One header field kept for the structure, unfolded: a To with some 1,500 addresses. Longer ones
// are cut here (in the structure only; the bytes of the message stay whole).
inline constexpr std::size_t kFieldBytesMax = 64 * 1024;
// All strings kept for one message. Once spent, later fields are taken as absent. With it, a cached
// structure stays below 1 MiB: 512 KiB of text and kPartsMax parts of at most 100 bytes of numbers.
inline constexpr std::size_t kKeptBytesMax = 512 * 1024;
// Addresses of one envelope field; the rest is dropped.
inline constexpr std::size_t kAddressesMax = 4096;
// Parameters of one Content-Type or Content-Disposition; the rest is dropped.
inline constexpr std::size_t kParametersMax = 64;

}  // namespace dormouse::mime
