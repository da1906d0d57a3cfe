# BPF programs: compiled for the kernel by clang, relocated to whichever kernel they are loaded into
# (CO-RE), wrapped by bpftool into a header each. What the kernel's types look like is taken from
# the kernel that we are built on; that header is never committed.
#
# DORMOUSE_HAVE_BPF is false where a part is missing: the build says which and goes on, the program
# says so at its start, and the user-space counterparts do the work (docs/ebpf.md).
option(DORMOUSE_BPF "Build the BPF programs, where the tools and /sys/kernel/btf/vmlinux are there" ON)

find_program(BPFTOOL bpftool HINTS /usr/sbin /usr/local/sbin)
find_program(BPF_CLANG NAMES clang-19 clang)
pkg_check_modules(LIBBPF IMPORTED_TARGET libbpf>=1.1)

set(DORMOUSE_HAVE_BPF FALSE)
set(DORMOUSE_NO_BPF "")
if(NOT DORMOUSE_BPF)
  set(DORMOUSE_NO_BPF "built with -DDORMOUSE_BPF=OFF")
elseif(NOT EXISTS /sys/kernel/btf/vmlinux)
  set(DORMOUSE_NO_BPF "built on a kernel without /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)")
elseif(NOT BPFTOOL)
  set(DORMOUSE_NO_BPF "built without bpftool (apt-get install bpftool)")
elseif(NOT BPF_CLANG)
  set(DORMOUSE_NO_BPF "built without clang for the target bpf (apt-get install clang-19)")
elseif(NOT LIBBPF_FOUND)
  set(DORMOUSE_NO_BPF "built without libbpf 1.1 or newer (apt-get install libbpf-dev)")
else()
  set(vmlinux ${CMAKE_BINARY_DIR}/bpf/vmlinux.h)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/bpf)
  # At configure time, because a kernel may have BTF that this bpftool cannot read.
  execute_process(
    COMMAND sh -c "'${BPFTOOL}' btf dump file /sys/kernel/btf/vmlinux format c > '${vmlinux}.new'"
    RESULT_VARIABLE failed ERROR_VARIABLE reason)
  if(failed)
    string(STRIP "${reason}" reason)
    set(DORMOUSE_NO_BPF "built where bpftool cannot read /sys/kernel/btf/vmlinux: ${reason}")
  else()
    # Only a new text gets a new date: a second configure must not rebuild the programs.
    file(COPY_FILE ${vmlinux}.new ${vmlinux} ONLY_IF_DIFFERENT)
    set(DORMOUSE_HAVE_BPF TRUE)
  endif()
endif()
if(DORMOUSE_HAVE_BPF)
  message(STATUS "BPF programs: built (${BPFTOOL}, ${BPF_CLANG}, libbpf ${LIBBPF_VERSION})")
else()
  message(STATUS "BPF programs: NOT built: ${DORMOUSE_NO_BPF}. The server works without them "
                 "(docs/ebpf.md).")
endif()

# dormouse_bpf(TARGET x.bpf.c ...): for each, "ebpf/x.skel.h" for TARGET to include.
# mcpu=v3 (Linux 5.12) is the first with atomic compare-and-exchange.
function(dormouse_bpf target)
  foreach(source ${ARGN})
    string(REGEX REPLACE "\\.bpf\\.c$" "" name ${source})
    file(RELATIVE_PATH room ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
    set(object ${CMAKE_BINARY_DIR}/bpf/${name}.bpf.o)
    set(skeleton ${CMAKE_BINARY_DIR}/bpf/${room}/${name}.skel.h)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/bpf/${room})
    add_custom_command(
      OUTPUT ${skeleton}
      COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -g -O2 -std=gnu11 -Wall -Wextra -Werror
              -Wno-unused-parameter -I${CMAKE_BINARY_DIR}/bpf -I${CMAKE_SOURCE_DIR}
              -MD -MF ${object}.d -MT ${skeleton}
              -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}.debug
      # Links one object into one: what is left out is DWARF.
      COMMAND ${BPFTOOL} gen object ${object} ${object}.debug
      # Generated code is not ours to have linted: its paths that fail look like leaks.
      COMMAND sh -c "{ echo '// NOLINTBEGIN'; '${BPFTOOL}' gen skeleton '${object}' name ${name}_bpf; } > '${skeleton}.new' && echo '// NOLINTEND' >> '${skeleton}.new' && mv '${skeleton}.new' '${skeleton}'"
      DEPENDS ${source} ${CMAKE_BINARY_DIR}/bpf/vmlinux.h DEPFILE ${object}.d
      BYPRODUCTS ${object} ${object}.debug VERBATIM COMMENT "BPF program ${source}")
    target_sources(${target} PRIVATE ${skeleton})
  endforeach()
  # Nor to be warned about.
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_BINARY_DIR}/bpf)
  target_link_libraries(${target} PRIVATE PkgConfig::LIBBPF)
endfunction()
