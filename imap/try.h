#pragma once
// Hands an Error on from a coroutine.

#include <utility>

#include "io/result.h"

// Ends this coroutine with the Error of `expression` (a Result, perhaps awaited), or goes on.
#define IMAP_CO_TRY(expression)                                         \
  do {                                                                  \
    if (auto try_result = (expression); !try_result) {                  \
      co_return std::unexpected<::dormouse::Error>(try_result.error()); \
    }                                                                   \
  } while (0)
