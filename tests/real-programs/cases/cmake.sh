# needs: cmake make gcc g++
# Configures and builds a small project with a library, a custom command and a test.
. "$LIB"
mkdir src; cat >src/CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.10)
project(demo C)
include(CheckFunctionExists)
check_function_exists(memcpy HAVE_MEMCPY)
add_custom_command(OUTPUT gen.c COMMAND ${CMAKE_COMMAND} -E echo "int gen(void) { return 17; }" > gen.c VERBATIM)
add_library(lib SHARED lib.c ${CMAKE_CURRENT_BINARY_DIR}/gen.c)
add_executable(demo main.c)
target_link_libraries(demo lib)
foreach(i RANGE 1 300)
  list(APPEND names "name${i}")
  string(REPLACE "name" "N" upper "${names}")
endforeach()
list(LENGTH names n)
message(STATUS "names: ${n} memcpy: ${HAVE_MEMCPY}")
enable_testing()
add_test(NAME t COMMAND demo)
C
printf 'int gen(void); int lib(int x) { return x * 2 + gen(); }\n' >src/lib.c
printf '#include <stdio.h>\nint lib(int); int main(void) { printf("%%d\\n", lib(4)); return 0; }\n' >src/main.c
cmake -S src -B build -DCMAKE_BUILD_TYPE=Debug >log; grep names: log
cmake --build build --parallel 2 | grep -c Built; build/demo; (cd build && ctest 2>&1 | grep 'tests passed')
cmake -E sha256sum src/lib.c; set +e; cmake -S nowhere -B x 2>&1 | sed -n 1,1p | cut -c1-30
exit 0
