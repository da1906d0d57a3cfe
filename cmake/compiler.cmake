# clang 19 is required: g++ 12 destroys some temporaries twice in `co_await f(Aggregate{...})`, and
# clang is also the BPF compiler and the fuzzers' (docs/decisions.md).
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  if(NOT (CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13))
    message(FATAL_ERROR
      "Dormouse needs clang 19 or newer (g++ 13 at the least); found ${CMAKE_CXX_COMPILER_ID} "
      "${CMAKE_CXX_COMPILER_VERSION}. On Debian 12: apt-get install clang-19, then use a preset "
      "(cmake --preset release), which names it.")
  endif()
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Everything ends in an executable, so rooms and tests are compiled alike (-fPIE, not -fPIC for the
# rooms' libraries) and can share precompiled headers.
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
add_compile_options(-fPIE)
add_link_options(-pie)
# Some libraries' pkg-config asks for it, and clang compares it with the precompiled headers'.
add_compile_options(-pthread)

# The sloppiness is what ccache asks for with precompiled headers; cmake/pch.cmake says what EXTSUM is.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=true ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# DORMOUSE_SANITIZE: empty, "address" (with undefined), "thread", or "fuzz" (address, undefined and
# libFuzzer's coverage in every room).
set(DORMOUSE_SANITIZE "" CACHE STRING "address, thread, fuzz or empty")
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast
                    -Wimplicit-fallthrough -Werror -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()
if(DORMOUSE_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(DORMOUSE_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(DORMOUSE_SANITIZE STREQUAL "fuzz")
  add_compile_options(-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(NOT DORMOUSE_SANITIZE STREQUAL "")
  message(FATAL_ERROR "DORMOUSE_SANITIZE=${DORMOUSE_SANITIZE}: expected address, thread, fuzz or empty")
else()
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2)
endif()

# The code of the tests themselves is compiled without optimizing, which halves its cost; what they
# test is not. (Fortify needs the optimizer.)
set(DORMOUSE_TEST_OPTIONS -O0 -U_FORTIFY_SOURCE)
