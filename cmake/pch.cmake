# Precompiled headers: what nearly every file includes of other people's headers, parsed once
# (docs/building.md has what that saves). Never our own, so that changing one of ours rebuilds only
# its users. Headers stay self-contained: a build with -DDORMOUSE_PCH=OFF must pass too.
option(DORMOUSE_PCH "Precompile the standard library's, fmt's, protobuf's and GoogleTest's headers" ON)

set(DORMOUSE_PCH_HEADERS
  <algorithm> <array> <bit> <cerrno> <charconv> <chrono> <coroutine> <cstddef> <cstdint> <cstdio>
  <cstdlib> <cstring> <deque> <expected> <functional> <map> <memory> <optional> <set> <span>
  <string> <string_view> <unordered_map> <utility> <variant> <vector>
  <fmt/format.h>
  <google/protobuf/arena.h> <google/protobuf/generated_message_util.h>
  <google/protobuf/message_lite.h> <google/protobuf/repeated_field.h>)

# dormouse_pch_provider(NAME HEADERS ... OPTIONS ... LIBS ...): compiles one set of headers with one
# set of flags. Its users must be compiled with the same flags: clang compares them.
# (target_precompile_headers() would do, but it names its files absolutely on every command line, and
# then no other tree finds anything in ccache.)
function(dormouse_pch_provider name)
  cmake_parse_arguments(P "" "" "HEADERS;OPTIONS;LIBS" ${ARGN})
  set(source ${CMAKE_BINARY_DIR}/pch/${name}.cc)
  list(TRANSFORM P_HEADERS PREPEND "#include ")
  list(JOIN P_HEADERS "\n" text)
  file(CONFIGURE OUTPUT ${source} CONTENT "${text}\n")
  # The "object" is the precompiled header, with the instantiations that each user then need not make.
  add_library(${name}_object OBJECT ${source})
  target_link_libraries(${name}_object PRIVATE fmt::fmt protobuf::libprotobuf-lite ${P_LIBS})
  target_compile_options(${name}_object PRIVATE ${P_OPTIONS} -fpch-instantiate-templates
                         "SHELL:-Xclang -fno-pch-timestamp" "SHELL:-x c++-header")
  # Compiled in every tree, never taken from ccache: it names the files it was made of absolutely, so
  # one from another tree breaks when that tree goes.
  set_target_properties(${name}_object PROPERTIES CXX_COMPILER_LAUNCHER "")
  # ccache knows a precompiled header by its extension. For the same reason as above it must not
  # compare the file itself: it reads a checksum of the headers' text (CCACHE_PCH_EXTSUM).
  set(precompiled ${CMAKE_BINARY_DIR}/pch/${name}.pch)
  add_custom_command(OUTPUT ${precompiled}
    COMMAND ln -f $<TARGET_OBJECTS:${name}_object> ${precompiled}
    DEPENDS ${name}_object $<TARGET_OBJECTS:${name}_object> VERBATIM
    COMMENT "Precompiled header ${name}")
  set(folders "$<TARGET_PROPERTY:${name}_object,INCLUDE_DIRECTORIES>")
  add_custom_command(OUTPUT ${precompiled}.sum
    COMMAND ${CMAKE_CXX_COMPILER} -std=c++23 -E -dD -P -MD -MF ${source}.d -MT ${precompiled}.sum
            "$<$<BOOL:${folders}>:-I$<JOIN:${folders},;-I>>" ${source} -o ${source}.text
    COMMAND sh -c "sha256sum < ${source}.text > ${precompiled}.sum"
    BYPRODUCTS ${source}.text DEPENDS ${source} DEPFILE ${source}.d
    COMMAND_EXPAND_LISTS VERBATIM COMMENT "Checksum of the headers of ${name}")
  add_custom_target(${name} DEPENDS ${precompiled} ${precompiled}.sum)
endfunction()

# dormouse_use_pch(TARGET PROVIDER), for all sources that TARGET has at the end of its CMakeLists.txt.
# The path is relative to the build directory, where ninja, and a reader of compile_commands.json,
# stand.
function(dormouse_use_pch target provider)
  if(TARGET ${provider})
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include-pch pch/${provider}.pch>")
    add_dependencies(${target} ${provider})
    cmake_language(EVAL CODE "cmake_language(DEFER CALL dormouse_depend_on_pch ${target} ${provider})")
  endif()
endfunction()

function(dormouse_depend_on_pch target provider)
  get_target_property(sources ${target} SOURCES)
  set(precompiled ${CMAKE_BINARY_DIR}/pch/${provider}.pch)
  set_property(SOURCE ${sources} APPEND PROPERTY OBJECT_DEPENDS ${precompiled} ${precompiled}.sum)
endfunction()

if(DORMOUSE_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  dormouse_pch_provider(dormouse_pch HEADERS ${DORMOUSE_PCH_HEADERS})
  dormouse_pch_provider(dormouse_test_pch
    HEADERS ${DORMOUSE_PCH_HEADERS} <gtest/gtest.h> <gmock/gmock.h>
    OPTIONS ${DORMOUSE_TEST_OPTIONS} LIBS GTest::gtest GTest::gmock)
endif()
