#include "mime/transfer.h"

#include "mime/ascii.h"

namespace dormouse::mime {
namespace {

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

TransferEncoding transfer_encoding(std::string_view name) {
  if (same_name(name, "base64")) return TransferEncoding::kBase64;
  if (same_name(name, "quoted-printable")) return TransferEncoding::kQuotedPrintable;
  return TransferEncoding::kIdentity;
}

void TransferDecoder::decode(std::string_view bytes, std::string& out) {
  switch (encoding_) {
    case TransferEncoding::kIdentity:
      out += bytes;
      break;
    case TransferEncoding::kBase64:
      decode_base64(bytes, out);
      break;
    case TransferEncoding::kQuotedPrintable:
      decode_quoted_printable(bytes, out);
      break;
  }
}

void TransferDecoder::decode_base64(std::string_view bytes, std::string& out) {
  for (char c : bytes) {
    if (c == '=') {
      // Padding ends a run; some mailers join several runs, so decoding goes on behind it.
      bit_count_ = 0;
      continue;
    }
    const int value = base64_value(c);
    if (value < 0) continue;
    bits_ = (bits_ << 6 | static_cast<std::uint32_t>(value)) & 0xffffff;
    bit_count_ = static_cast<std::uint8_t>(bit_count_ + 6);
    if (bit_count_ < 8) continue;
    bit_count_ = static_cast<std::uint8_t>(bit_count_ - 8);
    out.push_back(static_cast<char>(bits_ >> bit_count_ & 0xff));
  }
}

void TransferDecoder::decode_quoted_printable(std::string_view bytes, std::string& out) {
  for (char c : bytes) {
    if (held_bytes_ == 0) {
      if (c == '=') {
        held_[held_bytes_++] = c;
      } else {
        out.push_back(c);
      }
      continue;
    }
    if (held_bytes_ == 1) {
      if (c == '\n') {  // a soft line break
        held_bytes_ = 0;
      } else if (c == '\r' || is_blank(c) || hex_value(c) >= 0) {
        held_[held_bytes_++] = c;
      } else {
        out.push_back('=');
        held_bytes_ = 0;
        c == '=' ? void(held_[held_bytes_++] = c) : out.push_back(c);
      }
      continue;
    }
    const int high = hex_value(held_[1]);
    const int low = hex_value(c);
    if (high < 0 && is_blank(held_[1]) && (is_blank(c) || c == '\r')) continue;  // "= \t\r\n"
    held_bytes_ = 0;
    if (high >= 0 && low >= 0) {
      out.push_back(static_cast<char>(high << 4 | low));
    } else if (high < 0 && c == '\n') {
      // a soft line break
    } else {
      out.push_back('=');
      out.push_back(held_[1]);
      c == '=' ? void(held_[held_bytes_++] = c) : out.push_back(c);
    }
  }
}

void TransferDecoder::finish(std::string& out) {
  // "=" at the very end is a soft line break; "=4" is kept as it is.
  if (held_bytes_ == 2 && hex_value(held_[1]) >= 0) out.append(held_, 2);
  held_bytes_ = 0;
}

}  // namespace dormouse::mime
