#pragma once
// What an authenticated session can do. Said by CAPABILITY, and by the OK that ends LOGIN or
// AUTHENTICATE. What login says before that is login's own.

#include <string_view>

namespace dormouse::imap {

inline constexpr std::string_view kCapabilities =
    "IMAP4rev1 LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT CHILDREN SPECIAL-USE "
    "CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE CONDSTORE QRESYNC MOVE MULTIAPPEND "
    "ESEARCH SEARCHRES WITHIN SORT SORT=DISPLAY ESORT CONTEXT=SEARCH CONTEXT=SORT PARTIAL "
    "COMPRESS=DEFLATE "
    "NOTIFY";

}  // namespace dormouse::imap
