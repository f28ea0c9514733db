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
    [install]=1500 [live]=1500 [wheel]=1200 [properties]=1500 [clients]=1800 [slow]=1500 [image]=1800 [bench]=1200
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
    # And JavaScript's.
    export JS_CLIENTS="$WORK/js-clients"
    # And Maven in several versions, with the plugins that builds need.
    export MAVEN_CLIENTS="$WORK/maven-clients"
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

# run_sections NAME…: one is shown while it runs; several run at once, and are shown one after the other. Of
# `a+b` b begins when a has ended.
run_sections() {
    local name chain
    if (($# == 1)); then
        printf '\n===== %s\n' "$1"
        measure_section "$1" 2>&1 | tee "$WORK/logs/$1"
        note_section "$1"
        return
    fi
    printf '\n===== at once: %s\n' "$*"
    for chain in "$@"; do
        for name in ${chain//+/ }; do
            measure_section "$name" >"$WORK/logs/$name" 2>&1
        done &
    done
    wait
    for name in ${*//+/ }; do
        printf '\n===== %s\n' "$name"
        cat "$WORK/logs/$name"
        note_section "$name"
    done
}

# Its status and its seconds end in a file.
measure_section() {
    local start=$SECONDS status=0
    timeout --kill-after=30 "${LIMIT[$1]:-900}" bash .ci/section "$1" </dev/null || status=$?
    echo "$status $((SECONDS - start))" >"$WORK/logs/$1.end"
}

note_section() {
    local name=$1 status seconds verdict=passed
    read -r status seconds <"$WORK/logs/$name.end"
    if ((status == 0)); then
        PASSED=$((PASSED + 1))
    elif [[ " ${MAY_FAIL[*]} " == *" $name "* ]]; then
        verdict="may fail ($status)"
    else
        FAILED=$((FAILED + 1))
        verdict="FAILED ($status)"
    fi
    printf '===== %s: %s in %d s\n' "$name" "$verdict" "$seconds"
    ROWS+=("$(printf '%-12s %-14s %6d s   %s' "$name" "$verdict" "$seconds" "$(counts "$WORK/logs/$name")")")
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
