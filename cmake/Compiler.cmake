# Warnings are errors; every target gets the same flags.
add_compile_options(-Wall -Wextra -Wno-missing-designated-field-initializers -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
                    -Wimplicit-fallthrough -Wextra-semi -Wunused -Werror)
# Coroutine frames honour over-aligned locals (I/O headers) only with this flag.
add_compile_options(-fcoro-aligned-allocation -fno-omit-frame-pointer)
# Assertions name src/..., whether the compiler is given absolute paths or the compiler cache made them relative.
file(RELATIVE_PATH source_from_build ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR})
add_compile_options(-fmacro-prefix-map=${source_from_build}=)
# x86-64-v3 (AVX2, 2013 and later) is the oldest machine Cenote runs on.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  add_compile_options(-march=x86-64-v3)
endif()
add_link_options(-fuse-ld=lld-19)

if(CENOTE_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g1)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(CENOTE_ASAN=1)
elseif(CENOTE_TSAN)
  add_compile_options(-fsanitize=thread -O1 -g1)
  add_link_options(-fsanitize=thread)
  add_compile_definitions(CENOTE_TSAN=1)
else()
  # What is shipped holds no path of the machine that built it. Not in test builds: an absolute path in the flags spoils the
  # compiler cache for other checkouts.
  add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
  # The hot path crosses many small libraries: inlined across them 4 KiB fetches are 7 to 10 % faster, updates 5 %.
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CENOTE_FUZZ)
    add_compile_options(-flto=thin)
    add_link_options(-flto=thin -Wl,--thinlto-cache-dir=${CMAKE_BINARY_DIR}/lto-cache)
  endif()
endif()
# cenote_quick_to_compile(target): for what only drives the layers, test programs and the command line. Under sanitizers
# the optimizer takes most of the time of a build, and there it gains nothing.
function(cenote_quick_to_compile target)
  if(CENOTE_SANITIZE OR CENOTE_TSAN)
    target_compile_options(${target} PRIVATE -O0)
    set_target_properties(${target} PROPERTIES CENOTE_QUICK_TO_COMPILE ON)
  endif()
endfunction()

if(CENOTE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
