#include "imap/commands/base_subject.h"

#include <gtest/gtest.h>

namespace dormouse::imap {
namespace {

TEST(BaseSubject, IsWithoutWhatMailProgramsAdd) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", ""},
      {"hello", "hello"},
      {"Re: hello", "hello"},
      {"RE:re :  Fwd:FW: hello", "hello"},
      {"re[2]: hello", "hello"},
      {"Re [list]: hello", "hello"},
      {"[list] Re: hello", "hello"},
      {"[list] [bug 7] hello", "hello"},
      {"[list]", "[list]"},
      {"[a] [b]", "[b]"},
      {"Re: [list]", "[list]"},
      {"hello (fwd)", "hello"},
      {"hello (FWD) (fwd)  ", "hello"},
      {"[Fwd: hello]", "hello"},
      {"[fwd: Re: [list] hello (fwd)]", "hello"},
      {"[fwd: [fwd: hello]]", "hello"},
      {"[fwd: a] b", "b"},
      {"Re: [fwd: [x] y] (fwd)", "y"},
      {"Reply: hello", "Reply: hello"},
      {"refwd: hello", "refwd: hello"},
      {"fwdx", "fwdx"},
      {"a\t b\r\n  c", "a b c"},
      {"=?utf-8?Q?Re:_gr=C3=BC=C3=9Fe?=", "gr\u00fc\u00dfe"},
      {"[unclosed Re: x", "[unclosed Re: x"},
      {"[nested [x]] y", "[nested [x]] y"},
      {":", ":"},
      {"re:", ""},
      {"(fwd)", ""},
      {"[]", "[]"},
  };
  for (const auto& [subject, base] : kCases) EXPECT_EQ(base_subject(subject), base) << subject;
}

TEST(BaseSubject, IsItsOwnBaseSubject) {
  for (const char* subject : {"Re: [a] [fwd: [b] Fw: x (fwd)]", "[a][b] c (fwd) ", "re re: x"}) {
    std::string once = base_subject(subject);
    EXPECT_EQ(base_subject(once), once) << subject;
  }
}

}  // namespace
}  // namespace dormouse::imap
