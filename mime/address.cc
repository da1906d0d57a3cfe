#include "mime/address.h"

#include "mime/ascii.h"
#include "mime/limits.h"

namespace dormouse::mime {
namespace {

// Reads an address list (RFC 5322 3.4 and 4.4) from left to right, never back.
class AddressReader {
 public:
  explicit AddressReader(std::string_view text) : text_(text) {}

  AddressList read() {
    while (!at_end() && found_.size() < kAddressesMax) {
      comment_ = {};
      skip_space();
      if (at_end()) break;
      if (skip(',')) continue;
      if (skip(';')) {
        end_group();
        continue;
      }
      read_one();
    }
    end_group();
    return std::move(found_);
  }

 private:
  bool at_end() const { return text_.empty(); }
  bool next_is(char c) const { return !text_.empty() && text_.front() == c; }
  bool skip(char c) {
    if (!next_is(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  // Blanks and comments; the last comment is kept: it may be the name ("joe@x (Joe)").
  bool skip_space() {
    bool any = false;
    while (!at_end()) {
      if (is_space(text_.front())) {
        text_.remove_prefix(1);
      } else if (next_is('(')) {
        comment_ = take_comment(text_);
      } else {
        return any;
      }
      any = true;
    }
    return any;
  }

  void end_group() {
    if (!in_group_) return;
    in_group_ = false;
    found_.push_back({Address::Kind::kGroupEnd, "", "", "", ""});
  }

  static bool ends_word(char c) {
    return is_space(c) || std::string_view("()<>@,;:\"").find(c) != std::string_view::npos;
  }

  // A quoted string or a run of other characters; nothing where neither begins.
  bool take_word(std::string& out, std::string_view also_ends) {
    if (next_is('"')) {
      text_.remove_prefix(1);
      while (!at_end() && !next_is('"')) {
        if (next_is('\\') && text_.size() > 1) text_.remove_prefix(1);
        out.push_back(text_.front());
        text_.remove_prefix(1);
      }
      skip('"');
      return true;
    }
    std::size_t length = 0;
    while (length < text_.size() && !ends_word(text_[length]) &&
           also_ends.find(text_[length]) == std::string_view::npos) {
      ++length;
    }
    out += text_.substr(0, length);
    text_.remove_prefix(length);
    return length > 0;
  }

  // Words with one blank between where there was any: a display name, or a local part.
  std::string take_phrase() {
    std::string phrase;
    bool blank = false;
    for (;;) {
      std::string word;
      if (!take_word(word, "")) break;
      if (blank && !phrase.empty()) phrase.push_back(' ');
      phrase += word;
      blank = skip_space();
    }
    return phrase;
  }

  // A domain: no blanks count, literals stay in their brackets.
  std::string take_domain() {
    std::string domain;
    skip_space();
    while (!at_end()) {
      if (next_is('[')) {
        std::size_t end = text_.find(']');
        std::size_t length = end == std::string_view::npos ? text_.size() : end + 1;
        domain += text_.substr(0, length);
        text_.remove_prefix(length);
      } else if (!take_word(domain, "[")) {
        break;
      }
      skip_space();
      // "example.org (x) junk" is no domain of two words, but ". org" is one.
      if (at_end() || (!next_is('.') && !domain.ends_with('.') && !next_is('['))) break;
    }
    return domain;
  }

  // Up to the comma or semicolon that ends what could not be read.
  void skip_rest() {
    std::string dropped;
    while (!at_end() && !next_is(',') && !next_is(';')) {
      if (!take_word(dropped, "") && !skip_space()) text_.remove_prefix(1);
      dropped.clear();
    }
  }

  // "<@route:local@domain>", from behind the '<'.
  void read_angle(Address& address) {
    skip_space();
    if (next_is('@') || next_is(',')) {  // obs-route
      while (!at_end() && !next_is(':') && !next_is('>')) {
        if (skip('@')) {
          if (!address.route.empty()) address.route.push_back(',');
          address.route.push_back('@');
          address.route += take_domain();
        } else {
          text_.remove_prefix(1);
        }
        skip_space();
      }
      skip(':');
      skip_space();
    }
    address.mailbox = take_phrase();
    while (!at_end() && !next_is('@') && !next_is('>')) {
      // Something that no local part holds, such as a ',' or ':': kept, as it stands between < and
      // >.
      address.mailbox.push_back(text_.front());
      text_.remove_prefix(1);
      address.mailbox += take_phrase();
    }
    if (skip('@')) address.host = take_domain();
    while (!at_end() && !next_is('>') && !next_is(',') && !next_is(';')) text_.remove_prefix(1);
    skip('>');
    skip_rest();
  }

  void read_one() {
    Address address;
    std::string phrase = take_phrase();
    if (next_is(':') && !in_group_) {
      text_.remove_prefix(1);
      in_group_ = true;
      address.kind = Address::Kind::kGroupStart;
      address.mailbox = std::move(phrase);
      found_.push_back(std::move(address));
      return;
    }
    if (skip('<')) {
      address.name = std::move(phrase);
      read_angle(address);
    } else {
      address.mailbox = std::move(phrase);
      comment_ = {};
      if (skip('@')) address.host = take_domain();
      skip_space();
      address.name = trimmed(comment_);
      if (next_is('<')) {  // "joe@x <joe@x>": an address as its own name
        address.name = address.mailbox + "@" + address.host;
        address.mailbox.clear();
        address.host.clear();
        text_.remove_prefix(1);
        read_angle(address);
      } else {
        skip_rest();
      }
      if (address.mailbox.empty() && address.host.empty()) return;  // nothing that names anyone
    }
    found_.push_back(std::move(address));
  }

  std::string_view text_;
  std::string_view comment_;
  bool in_group_ = false;
  AddressList found_;
};

}  // namespace

AddressList parse_addresses(std::string_view value) { return AddressReader(value).read(); }

}  // namespace dormouse::mime
