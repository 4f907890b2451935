# The layers of src/, lowest first. A library may depend only on libraries of a strictly lower rank; folders in one
# entry share a rank, so none may include another (client and engine share only what lies below both, and no engine knows
# etcd: whoever starts one gives it its coordinator).
set(CENOTE_LAYERS
    "base" "protocol" "runtime" "media" "rpc" "store" "object" "cluster" "client,engine,etcd" "embedded" "posix" "fuse,intercept" "cli")

set(CENOTE_LAYER_ORDER "")
foreach(entry IN LISTS CENOTE_LAYERS)
  string(REPLACE "," ";" names "${entry}")
  list(APPEND CENOTE_LAYER_ORDER ${names})
endforeach()

function(cenote_rank name out)
  set(rank 0)
  foreach(entry IN LISTS CENOTE_LAYERS)
    string(REPLACE "," ";" names "${entry}")
    if(name IN_LIST names)
      set(${out} ${rank} PARENT_SCOPE)
      return()
    endif()
    math(EXPR rank "${rank} + 1")
  endforeach()
  message(FATAL_ERROR "cenote_layer: '${name}' is not in CENOTE_LAYERS (cmake/Layers.cmake)")
endfunction()

# cenote_layer(name SRCS .. HEADERS .. DEPS layer.. [PRIVATE_DEPS layer..] [EXTERNAL lib..] [PUBLIC_EXTERNAL lib..] [TESTS x_test.cc..] [HEAVY_TESTS])
#   HEADERS are public, below include/cenote/<name>/; private ones stay beside the sources.
#   TESTS become one program, cenote_<name>_test, which is one test of ctest, called <name>. HEAVY_TESTS compute so much
#   themselves that optimizing them pays.
function(cenote_layer name)
  cmake_parse_arguments(A "HEAVY_TESTS" "" "SRCS;HEADERS;DEPS;PRIVATE_DEPS;EXTERNAL;PUBLIC_EXTERNAL;TESTS;TEST_DEPS" ${ARGN})
  cenote_rank(${name} rank)
  foreach(dep IN LISTS A_DEPS A_PRIVATE_DEPS A_TEST_DEPS)
    cenote_rank(${dep} dep_rank)
    if(NOT dep_rank LESS rank)
      message(FATAL_ERROR "layering: '${name}' (rank ${rank}) may not depend on '${dep}' (rank ${dep_rank})")
    endif()
  endforeach()

  add_library(cenote_${name} STATIC ${A_SRCS})
  target_sources(cenote_${name} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${A_HEADERS})
  target_include_directories(cenote_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  list(TRANSFORM A_DEPS PREPEND cenote_)
  list(TRANSFORM A_PRIVATE_DEPS PREPEND cenote_)
  list(TRANSFORM A_TEST_DEPS PREPEND cenote_)
  target_link_libraries(cenote_${name} PUBLIC ${A_DEPS} ${A_PUBLIC_EXTERNAL} PRIVATE ${A_PRIVATE_DEPS} ${A_EXTERNAL})

  cenote_precompile(cenote_${name} library)

  # The whole archive with its declared dependencies and nothing else: an undeclared upward use does not link.
  file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/linktest_${name}.cc CONTENT "int main() {}\n")
  add_executable(linktest_${name} ${CMAKE_CURRENT_BINARY_DIR}/linktest_${name}.cc)
  if(NOT BUILD_TESTING)
    set_target_properties(linktest_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  target_link_libraries(linktest_${name} PRIVATE -Wl,--whole-archive cenote_${name} -Wl,--no-whole-archive)

  if(A_TESTS AND BUILD_TESTING)
    add_executable(cenote_${name}_test ${A_TESTS})
    if(NOT A_HEAVY_TESTS)
      cenote_quick_to_compile(cenote_${name}_test)
    endif()
    cenote_precompile(cenote_${name}_test test)
    target_include_directories(cenote_${name}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(cenote_${name}_test PRIVATE cenote_${name} ${A_TEST_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
    add_test(NAME ${name} COMMAND cenote_${name}_test --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES TIMEOUT 600)
  endif()
endfunction()
