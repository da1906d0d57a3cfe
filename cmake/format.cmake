# `cmake --build --preset release --target format` and `--target lint`.
add_custom_target(format
  COMMAND git ls-files -z -- *.cc *.h *.c | xargs -0 clang-format-19 -i
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM COMMENT "clang-format over every tracked file")
add_custom_target(format-check
  COMMAND git ls-files -z -- *.cc *.h *.c | xargs -0 clang-format-19 --dry-run --Werror
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM COMMENT "clang-format, changing nothing")
add_custom_target(lint
  COMMAND git ls-files -z -- *.cc | xargs -0 -n 4 -P 2 clang-tidy-19 --quiet -p ${CMAKE_BINARY_DIR}
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM COMMENT "clang-tidy over every tracked file")
