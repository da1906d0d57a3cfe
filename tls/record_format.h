#pragma once
// Numbers of the TLS record format that the engine's files share; for this room only.

#include <cstddef>
#include <cstdint>

namespace dormouse::tls {

// Content types, RFC 8446 5.1.
inline constexpr uint8_t kRecordChangeCipherSpec = 20;
inline constexpr uint8_t kRecordAlert = 21;
inline constexpr uint8_t kRecordHandshake = 22;
inline constexpr uint8_t kRecordApplicationData = 23;

inline constexpr uint16_t kRecordVersion = 0x0303;  // TLS 1.2, and what TLS 1.3 pretends

// Alert levels, RFC 8446 6.
inline constexpr uint8_t kAlertWarning = 1;
inline constexpr uint8_t kAlertFatal = 2;

// Handshake types, RFC 8446 4 and RFC 5246 7.4.
inline constexpr uint8_t kHelloRequest = 0;
inline constexpr uint8_t kClientHello = 1;
inline constexpr uint8_t kNewSessionTicket = 4;
inline constexpr uint8_t kKeyUpdate = 24;

inline constexpr size_t kMessageHeaderBytes = 4;  // type and 24-bit length
inline constexpr size_t kKeyUpdateBytes = kMessageHeaderBytes + 1;

}  // namespace dormouse::tls
