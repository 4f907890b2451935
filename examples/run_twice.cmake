# The second run must find what the first one left.
file(REMOVE_RECURSE ${DIRECTORY})
foreach(run 1 2)
  execute_process(COMMAND ${PROGRAM} ${DIRECTORY} OUTPUT_VARIABLE output RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR NOT output MATCHES "visit ${run}\n")
    message(FATAL_ERROR "run ${run} ended with ${result} and said: ${output}")
  endif()
endforeach()
file(REMOVE_RECURSE ${DIRECTORY})
