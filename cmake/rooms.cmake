# dormouse_rooms(a b c): add the folders that exist, in dependency order. With the fuzz preset `all`
# is only the tests and fuzz targets, with what they link.
function(dormouse_rooms)
  set(excluded "")
  if(DORMOUSE_SANITIZE STREQUAL "fuzz")
    set(excluded EXCLUDE_FROM_ALL)
  endif()
  set_property(GLOBAL PROPERTY DORMOUSE_ROOM_ORDER "${ARGN}")
  foreach(room ${ARGN})
    if(EXISTS ${CMAKE_SOURCE_DIR}/${room}/CMakeLists.txt)
      add_subdirectory(${room} ${excluded})
    endif()
  endforeach()
endfunction()

# dormouse_room(NAME SOURCES a.cc ... [ROOMS io wire ...] [LIBS PkgConfig::URING ...])
# The library of one room: target dormouse_NAME. A room named here must stand above this one in
# CMakeLists.txt, so dependencies can only point down.
function(dormouse_room name)
  cmake_parse_arguments(R "" "" "SOURCES;ROOMS;LIBS" ${ARGN})
  add_library(dormouse_${name} STATIC ${R_SOURCES})
  target_include_directories(dormouse_${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  foreach(dep ${R_ROOMS})
    if(NOT TARGET dormouse_${dep})
      message(FATAL_ERROR "room ${name} uses ${dep}, which does not stand above it in CMakeLists.txt")
    endif()
    target_link_libraries(dormouse_${name} PUBLIC dormouse_${dep})
  endforeach()
  target_link_libraries(dormouse_${name} PUBLIC fmt::fmt ${R_LIBS})
  dormouse_use_pch(dormouse_${name} dormouse_pch)
endfunction()

# Rooms of pure engines: bytes in, bytes out. Their unit tests run under the fuzz preset's sanitizers
# too, within the time that ./check has; all others run under the debug and tsan presets.
set(DORMOUSE_ENGINE_ROOMS mime imap/syntax tls compress wire tuning)

# dormouse_test(NAME SOURCES x_test.cc ... ROOMS ... [LIBS ...]): one GoogleTest binary; each TEST
# becomes a ctest test called NAME.Suite.Case.
function(dormouse_test name)
  file(RELATIVE_PATH room ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  if(DORMOUSE_SANITIZE STREQUAL "fuzz" AND NOT room IN_LIST DORMOUSE_ENGINE_ROOMS)
    return()
  endif()
  cmake_parse_arguments(T "" "" "SOURCES;ROOMS;LIBS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL OFF)
  foreach(dep ${T_ROOMS})
    target_link_libraries(${name} PRIVATE dormouse_${dep})
  endforeach()
  target_link_libraries(${name} PRIVATE ${T_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE ${DORMOUSE_TEST_OPTIONS})
  dormouse_use_pch(${name} dormouse_test_pch)
  gtest_discover_tests(${name} TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT 120 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endfunction()

# dormouse_fuzzer(NAME SOURCE x_fuzz.cc [FILES x.cc ...] SEEDS folder ROOMS ...): a libFuzzer target,
# built with the fuzz preset only; ctest runs its seeds and a short random run (./fuzz NAME runs it
# for long). FILES are those of its own room that the decoder needs, where the room is not an engine:
# so nothing else of that room is compiled once more for the fuzzers.
function(dormouse_fuzzer name)
  cmake_parse_arguments(F "" "SOURCE;SEEDS" "FILES;ROOMS;LIBS" ${ARGN})
  if(NOT DORMOUSE_SANITIZE STREQUAL "fuzz")
    return()
  endif()
  add_executable(${name} ${F_SOURCE} ${F_FILES})
  set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL OFF)
  dormouse_use_pch(${name} dormouse_pch)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  foreach(dep ${F_ROOMS})
    target_link_libraries(${name} PRIVATE dormouse_${dep})
  endforeach()
  target_link_libraries(${name} PRIVATE ${F_LIBS})
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/corpus/${name})
  # 4 seconds or 100,000 inputs, whichever comes first, and every seed in any case: 20 targets keep
  # ./check within 80 seconds. 64 KiB is the longest datagram any decoder is given.
  add_test(NAME fuzz.${name} COMMAND ${name} -max_total_time=4 -runs=100000 -max_len=65536
           -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0
           ${CMAKE_BINARY_DIR}/corpus/${name} ${CMAKE_CURRENT_SOURCE_DIR}/${F_SEEDS})
  set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 120)
endfunction()

# dormouse_bench(NAME SOURCES x_bench.cc ROOMS ...): a Google Benchmark binary. Sanitizers would make
# its figures worthless.
function(dormouse_bench name)
  if(NOT DORMOUSE_SANITIZE STREQUAL "")
    return()
  endif()
  cmake_parse_arguments(B "" "" "SOURCES;ROOMS;LIBS" ${ARGN})
  add_executable(${name} ${B_SOURCES})
  foreach(dep ${B_ROOMS})
    target_link_libraries(${name} PRIVATE dormouse_${dep})
  endforeach()
  target_link_libraries(${name} PRIVATE ${B_LIBS} benchmark::benchmark benchmark::benchmark_main)
endfunction()

# dormouse_protos(TARGET a.proto ...): protobuf-lite sources of this folder, into the build tree.
# Generated code is not ours to warn about.
function(dormouse_protos target)
  foreach(proto ${ARGN})
    string(REGEX REPLACE "\\.proto$" "" base ${proto})
    file(RELATIVE_PATH rel ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${base})
    add_custom_command(
      OUTPUT ${CMAKE_BINARY_DIR}/${rel}.pb.cc ${CMAKE_BINARY_DIR}/${rel}.pb.h
      COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR} --cpp_out=lite:${CMAKE_BINARY_DIR}
              ${CMAKE_CURRENT_SOURCE_DIR}/${proto}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${proto} VERBATIM)
    target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/${rel}.pb.cc)
    set_source_files_properties(${CMAKE_BINARY_DIR}/${rel}.pb.cc PROPERTIES COMPILE_OPTIONS "-w")
  endforeach()
  target_include_directories(${target} SYSTEM PUBLIC ${CMAKE_BINARY_DIR})
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf-lite)
endfunction()
