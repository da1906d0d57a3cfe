# `cmake --build --preset release --target format` and `--target lint`. The files are found without
# git, so that a copy of the tree and a tree of another owner are checked alike.
set(source_files "find . -path ./build -prune -o -type f")
add_custom_target(format
  COMMAND sh -c "${source_files} '(' -name '*.cc' -o -name '*.h' -o -name '*.c' ')' -print0 | xargs -0 clang-format-19 -i"
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM COMMENT "clang-format over every source file")
add_custom_target(format-check
  COMMAND sh -c "${source_files} '(' -name '*.cc' -o -name '*.h' -o -name '*.c' ')' -print0 | xargs -0 clang-format-19 --dry-run --Werror"
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM COMMENT "clang-format, changing nothing")
add_custom_target(lint
  COMMAND sh -c "${source_files} -name '*.cc' -print0 | xargs -0 -n 4 -P 2 clang-tidy-19 --quiet -p ${CMAKE_BINARY_DIR}"
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM COMMENT "clang-tidy over every source file")
