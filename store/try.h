#pragma once
// Hands an Error on to the caller; what `co_await`-free code in this room uses instead of
// exceptions.

#include <utility>

#include "io/result.h"

// Returns the Error of `expression` from this function, or goes on.
#define STORE_TRY(expression)                                        \
  do {                                                               \
    if (auto try_result = (expression); !try_result) {               \
      return std::unexpected<::dormouse::Error>(try_result.error()); \
    }                                                                \
  } while (0)

#define STORE_TRY_JOIN_(a, b) a##b
#define STORE_TRY_NAME_(line) STORE_TRY_JOIN_(try_value_, line)
#define STORE_TRY_ASSIGN_(temporary, target, expression)          \
  auto temporary = (expression);                                  \
  if (!temporary) {                                               \
    return std::unexpected<::dormouse::Error>(temporary.error()); \
  }                                                               \
  target = std::move(*temporary)

// STORE_ASSIGN(auto x, f()): x is f()'s value, or its Error is returned.
#define STORE_ASSIGN(target, expression) \
  STORE_TRY_ASSIGN_(STORE_TRY_NAME_(__LINE__), target, expression)
