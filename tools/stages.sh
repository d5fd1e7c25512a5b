# For tools/test and tools/sanitize: `run_stages "NAME COMMAND..."...` runs the stages that $wanted names, or
# all, and ends with the line `N passed, N failed`; false when something failed.
# A stage is a command that ends with such a line; one that does not counts as one failure.
passed=0 failed=0 wanted=()

# `count_stage STATUS LOG`: adds up what a stage said.
count_stage() {
  local status=$1 counts
  counts=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$2" | tail -n 1)
  if [ -n "$counts" ]; then
    passed=$((passed + ${counts%% *}))
    counts=${counts#*, }
    failed=$((failed + ${counts%% *}))
    # A stage that reports no failed test but a bad status failed in another way.
    [ "$status" = 0 ] || [ "${counts%% *}" != 0 ] || failed=$((failed + 1))
  elif [ "$status" = 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
}

run_stages() {
  local stage words log status start began=$SECONDS
  log=$(mktemp /tmp/tools-test.XXXXXX)
  for stage in "$@"; do
    read -r -a words <<<"$stage"
    [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " = *" ${words[0]} "* ]] || continue
    start=$SECONDS
    echo "=== ${words[0]}: ${words[*]:1}"
    "${words[@]:1}" </dev/null 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    count_stage "$status" "$log"
    echo "=== ${words[0]}: status $status, $((SECONDS - start)) s"
    case ${words[0]} in
      deps | build)  # Nothing after these can mean anything.
        [ "$status" = 0 ] && continue
        echo "stopping, stage ${words[0]} failed"
        break
        ;;
    esac
  done
  [ ${#wanted[@]} != 0 ] || bazel shutdown
  rm -f "$log"
  echo "=== total $((SECONDS - began)) s"
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
