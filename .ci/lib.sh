# Shared by .ci/run and its sections: one folder for all that a run makes, sections with limits, the table.

export NORA_REQUIRE_EXTENSIONS=1
export REQUIRE_CLIENTS=1
export DEBIAN_FRONTEND=noninteractive
export PIP_DISABLE_PIP_VERSION_CHECK=1
export PYTHONUNBUFFERED=1
# What the interpreter compiles is kept: hundreds of servers are started.
unset PYTHONDONTWRITEBYTECODE

# Sections that tell something and decide nothing.
MAY_FAIL=(newest)

ROWS=()
PASSED=0
FAILED=0

# Seconds that a section may take; 900 unless named here.
declare -A LIMIT=(
    [install]=1500 [wheel]=1200 [clients]=1800 [slow]=1500 [image]=1800 [bench]=1200
    [full]=86400 [full_bench]=86400
)

prepare() {
    # In lower case: podman makes image names out of the paths of layouts.
    WORK="${TMPDIR:-/tmp}/nora-ci-$$"
    mkdir -m 700 "$WORK"
    # Temporary files of tests end here too, and with it.
    export WORK TMPDIR="$WORK/tmp" GOBIN="$WORK/bin" PATH="$WORK/bin:$PATH"
    # Python's package managers, for all sections.
    export PYTHON_CLIENTS="$WORK/python-clients"
    mkdir "$TMPDIR" "$GOBIN" "$WORK/logs"
    START=$SECONDS
}

# What a killed test may have left: processes of this run's environment, mounts below its folder.
clean_up() {
    local status=$?
    set +e
    [[ -n ${WORK:-} ]] || exit "$status"
    local process
    for process in /proc/[0-9]*; do
        if [[ ${process#/proc/} != "$$" ]] && grep -qzxF "WORK=$WORK" "$process/environ" 2>/dev/null; then
            kill -KILL "${process#/proc/}" 2>/dev/null
        fi
    done
    awk -v below="$WORK/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r mount; do umount --lazy "$mount"; done
    rm -rf --one-file-system "$WORK"
    exit "$status"
}

# retry TIMES COMMAND…: for downloads; waits 5, 10, 15 … seconds between the tries.
retry() {
    local times=$1 try
    shift
    for ((try = 1; try <= times; try++)); do
        "$@" && return 0
        echo "try $try of $times failed: $*" >&2
        ((try == times)) || sleep $((5 * try))
    done
    return 1
}

run_section() {
    local name=$1 log="$WORK/logs/$1" start=$SECONDS status=0 verdict=passed
    printf '\n===== %s\n' "$name"
    timeout --kill-after=30 "${LIMIT[$name]:-900}" bash .ci/section "$name" </dev/null 2>&1 |
        tee "$log" || status=${PIPESTATUS[0]}
    if ((status == 0)); then
        PASSED=$((PASSED + 1))
    elif [[ " ${MAY_FAIL[*]} " == *" $name "* ]]; then
        verdict="may fail ($status)"
    else
        FAILED=$((FAILED + 1))
        verdict="FAILED ($status)"
    fi
    printf '===== %s: %s in %d s\n' "$name" "$verdict" $((SECONDS - start))
    ROWS+=("$(printf '%-12s %-14s %6d s   %s' "$name" "$verdict" $((SECONDS - start)) "$(counts "$log")")")
}

# The closing lines of pytest in a log, added up.
counts() {
    awk '/^=* ?[0-9]+ [a-z]+.* in [0-9.]+s/ {
            for (i = 1; i < NF; i++)
                if ($i ~ /^[0-9]+$/ && $(i + 1) ~ /^(passed|failed|skipped|error)/) {
                    word = $(i + 1); gsub(/[^a-z]/, "", word); sub(/^errors$/, "error", word); sum[word] += $i
                }
         }
         END {
            split("passed failed error skipped", order, " ")
            for (i = 1; i <= 4; i++) if (sum[order[i]]) printf "%s%d %s", (n++ ? ", " : ""), sum[order[i]], order[i]
         }' "$1"
}

summary() {
    printf '\n===== summary, %d s\n' $((SECONDS - START))
    printf '%s\n' "${ROWS[@]}"
    printf '\n%d passed, %d failed\n' "$PASSED" "$FAILED"
    ((FAILED == 0))
}
