// The FETCH half of writer.h.

#include <fmt/format.h>

#include <iterator>

#include "imap/syntax/writer.h"

namespace dormouse::imap {
namespace {

std::string_view section_text(mime::SectionKind kind) {
  switch (kind) {
    case mime::SectionKind::kAll:
      return "";
    case mime::SectionKind::kHeader:
      return "HEADER";
    case mime::SectionKind::kHeaderFields:
      return "HEADER.FIELDS";
    case mime::SectionKind::kHeaderFieldsNot:
      return "HEADER.FIELDS.NOT";
    case mime::SectionKind::kText:
      return "TEXT";
    case mime::SectionKind::kMime:
      return "MIME";
  }
  return "";
}

void put_section(std::string& out, const mime::Section& section) {
  bool first = true;
  for (std::uint32_t number : section.part) {
    if (!first) out.push_back('.');
    first = false;
    put_number(out, number);
  }
  std::string_view text = section_text(section.kind);
  if (!first && !text.empty()) out.push_back('.');
  out += text;
  if (section.kind != mime::SectionKind::kHeaderFields &&
      section.kind != mime::SectionKind::kHeaderFieldsNot) {
    return;
  }
  out += " (";
  first = true;
  for (const std::string& field : section.fields) {
    if (!first) out.push_back(' ');
    first = false;
    put_astring(out, field);
  }
  out.push_back(')');
}

}  // namespace

FetchLine::FetchLine(std::string& out, std::uint32_t sequence_number) : out_(out) {
  fmt::format_to(std::back_inserter(out_), "* {} FETCH (", sequence_number);
}

std::string& FetchLine::item() {
  if (!first_) out_.push_back(' ');
  first_ = false;
  return out_;
}

void FetchLine::end() { out_ += ")\r\n"; }

void put_fetch_uid(std::string& out, std::uint32_t uid) {
  fmt::format_to(std::back_inserter(out), "UID {}", uid);
}

void put_fetch_flags(std::string& out, const FlagList& flags) {
  out += "FLAGS ";
  put_flags(out, flags);
}

void put_fetch_internal_date(std::string& out, DateTime date) {
  out += "INTERNALDATE \"";
  format_date_time(out, date);
  out.push_back('"');
}

void put_fetch_size(std::string& out, std::uint64_t octets) {
  fmt::format_to(std::back_inserter(out), "RFC822.SIZE {}", octets);
}

void put_fetch_mod_seq(std::string& out, std::uint64_t mod_seq) {
  fmt::format_to(std::back_inserter(out), "MODSEQ ({})", mod_seq);
}

void put_fetch_body_name(std::string& out, const FetchBody& body) {
  switch (body.name) {
    case FetchBody::Name::kBody:
      out += "BODY[";
      put_section(out, body.section);
      out.push_back(']');
      if (body.partial) fmt::format_to(std::back_inserter(out), "<{}>", body.partial->offset);
      break;
    case FetchBody::Name::kRfc822:
      out += "RFC822";
      break;
    case FetchBody::Name::kRfc822Header:
      out += "RFC822.HEADER";
      break;
    case FetchBody::Name::kRfc822Text:
      out += "RFC822.TEXT";
      break;
  }
  out.push_back(' ');
}

}  // namespace dormouse::imap
