#pragma once
// The values of the Content-... fields (RFC 2045, 2183, 2231, 3282). Private to mime/.

#include <string>
#include <string_view>
#include <vector>

#include "mime/message.h"

namespace dormouse::mime {

// Content-Type into type, subtype, parameters. What has no subtype: text is text/plain, multipart
// is multipart/mixed, everything else application/octet-stream.
void parse_content_type(std::string_view value, Part& part);

// Content-Disposition.
void parse_disposition(std::string_view value, Part& part);

// Content-Transfer-Encoding: its token; "7bit" when there is none.
std::string parse_encoding(std::string_view value);

// Content-Language: the tags.
std::vector<std::string> parse_languages(std::string_view value);

// "; a=b; c*0=d; c*1=e", as in Parameter.
std::vector<Parameter> parse_parameters(std::string_view text);

}  // namespace dormouse::mime
