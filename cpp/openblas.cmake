# Links modules with the OpenBLAS of the Python package scipy-openblas32 and bundles the library
# with its licence in the package. Without that package the kernels use loops of their own.

execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "
import importlib.metadata, pathlib, scipy_openblas32
package = importlib.metadata.distribution('scipy-openblas32')
licence = next(file for file in package.files if file.name.startswith('LICENSE'))
print(pathlib.Path(scipy_openblas32.get_lib_dir(), 'cmake', 'openblas').as_posix(),
      pathlib.Path(package.locate_file(licence)).as_posix(), sep=';', end='')"
  OUTPUT_VARIABLE FOUND
  RESULT_VARIABLE STATUS
  ERROR_QUIET)
if(NOT STATUS EQUAL 0)
  message(STATUS "scipy-openblas32 is not installed: building without BLAS")
  return()
endif()
list(GET FOUND 0 OPENBLAS_CMAKE)
list(GET FOUND 1 OPENBLAS_LICENSE)

include("${OPENBLAS_CMAKE}/OpenBLASConfig.cmake")
message(STATUS "OpenBLAS ${OpenBLAS_VERSION}: ${OpenBLAS_LIBRARIES}")

install(FILES "${OpenBLAS_LIBRARIES}" DESTINATION .)
install(FILES "${OPENBLAS_LICENSE}" DESTINATION . RENAME OPENBLAS-LICENSE.txt)

# Link a module that is installed in a folder of the package.
function(link_openblas target folder)
  target_link_libraries(${target} PRIVATE OpenBLAS::OpenBLAS)
  target_compile_definitions(${target} PRIVATE GRADWRIGHT_OPENBLAS)
  set(ORIGIN "$ORIGIN")
  if(APPLE)
    set(ORIGIN "@loader_path")
  endif()
  if(NOT folder STREQUAL ".")
    string(APPEND ORIGIN "/..")
  endif()
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "${ORIGIN}")
endfunction()
