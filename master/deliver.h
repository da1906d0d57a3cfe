#pragma once
// `dormouse deliver`: a mail delivery agent for one message on standard input.

#include <string>

namespace dormouse::master {

// Exit status as an MTA expects it (sysexits.h): 0 delivered, 67 (EX_NOUSER) no such user, 65
// (EX_DATAERR) no such mailbox can be, 75 (EX_TEMPFAIL) anything that may pass: the mail must stay
// in the queue. As root it becomes the user before it touches the mail.
int deliver(const std::string& settings_file, const std::string& user, const std::string& mailbox);

}  // namespace dormouse::master
