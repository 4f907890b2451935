# The headers of the standard library, {fmt} and googletest take a third of the time of a compilation; they are parsed once
# for all targets of the same flags. In every build, shipped ones too: what compiles in one compiles in the others. No
# header of this repository is among them, and header sets are verified without.
#
# Not target_precompile_headers: its result holds a path of the build folder, which would spoil the compiler cache for other
# checkouts. This one is made of -include and, since there must be a main file, one of the C library with three macros in
# it; it is the same bytes everywhere.
set(CENOTE_PRECOMPILED_LIBRARY
    algorithm array bit charconv chrono coroutine cstdint cstring deque expected filesystem fstream functional map memory mutex
    numeric optional random set span string string_view thread unordered_map unordered_set utility vector fmt/format.h)
set(CENOTE_PRECOMPILED_TEST ${CENOTE_PRECOMPILED_LIBRARY} gmock/gmock.h gtest/gtest.h)

set(CENOTE_PRECOMPILED_MAIN /usr/include/stdc-predef.h)
# Another compiler does not read what this one wrote.
set_source_files_properties(${CENOTE_PRECOMPILED_MAIN} PROPERTIES LANGUAGE CXX OBJECT_DEPENDS ${CMAKE_CXX_COMPILER})

# Makes build/precompiled/<name>.pch and the target precompiled_<name>.
function(cenote_precompiled_headers name)
  cmake_parse_arguments(A "QUICK" "" "HEADERS;EXTERNAL" ${ARGN})
  add_library(precompile_${name} OBJECT EXCLUDE_FROM_ALL ${CENOTE_PRECOMPILED_MAIN})
  # The compiler cache does not get it: others' entries name its content, and it takes two seconds.
  set_target_properties(precompile_${name} PROPERTIES LINKER_LANGUAGE CXX CXX_COMPILER_LAUNCHER "" EXPORT_COMPILE_COMMANDS OFF)
  target_link_libraries(precompile_${name} PRIVATE ${A_EXTERNAL})
  if(A_QUICK)
    cenote_quick_to_compile(precompile_${name})
  endif()
  list(TRANSFORM A_HEADERS PREPEND "SHELL:-include ")
  target_compile_options(precompile_${name} PRIVATE ${A_HEADERS} -xc++-header "SHELL:-Xclang -fno-pch-timestamp"
    "SHELL:-Xclang -fpch-instantiate-templates")

  # Ninja lets compilations wait for the outputs of commands, but not for objects of other targets.
  set(result ${CMAKE_BINARY_DIR}/precompiled/${name}.pch)
  add_custom_command(OUTPUT ${result} DEPENDS precompile_${name} $<TARGET_OBJECTS:precompile_${name}>
    COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_OBJECTS:precompile_${name}> ${result} COMMENT "Precompiled ${name}" VERBATIM)
  add_custom_target(precompiled_${name} DEPENDS ${result})
endfunction()

file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/precompiled)
cenote_precompiled_headers(library HEADERS ${CENOTE_PRECOMPILED_LIBRARY} EXTERNAL fmt::fmt)
cenote_precompiled_headers(library_quick QUICK HEADERS ${CENOTE_PRECOMPILED_LIBRARY} EXTERNAL fmt::fmt)
if(BUILD_TESTING)
  cenote_precompiled_headers(test HEADERS ${CENOTE_PRECOMPILED_TEST} EXTERNAL fmt::fmt GTest::gtest GTest::gmock)
  cenote_precompiled_headers(test_quick QUICK HEADERS ${CENOTE_PRECOMPILED_TEST} EXTERNAL fmt::fmt GTest::gtest GTest::gmock)
endif()

# cenote_precompile(target library|test): the target's units start from what is parsed already. -fPIC, since what was parsed
# for a library does not fit a unit that knows it becomes part of a program.
function(cenote_precompile target kind)
  set(suffix $<$<BOOL:$<TARGET_PROPERTY:CENOTE_QUICK_TO_COMPILE>>:_quick>)
  target_compile_options(${target} PRIVATE "SHELL:-include-pch ${CMAKE_BINARY_DIR}/precompiled/${kind}${suffix}.pch"
    -fPIC)
  add_dependencies(${target} precompiled_${kind})
  if(CENOTE_SANITIZE OR CENOTE_TSAN)
    add_dependencies(${target} precompiled_${kind}_quick)
  endif()
endfunction()
