# The sections of .ci/run, one function each. They run from the root of the repository.

PYTEST=(.venv/bin/python -m pytest --quiet --durations=40)
# A module stays together: its tests share a server.
TOGETHER=(-n auto --dist loadscope)
QUICK="not slow and not full and not live and not client"

# The quick suite, with the coverage gate. Servers that tests start are not measured: it would double their time.
section_test() {
    COVERAGE_FILE="$PWD/.coverage" make --no-print-directory test ARGS="--cov --cov-report=term:skip-covered"
}

section_lint() {
    make --no-print-directory lint
}

# On the pure twins: their parity, and on the wire what goes through them.
section_pure() {
    unset NORA_REQUIRE_EXTENSIONS
    export NORA_NO_EXTENSIONS=1
    .venv/bin/python -m nora --version | grep 'pure Python'
    "${PYTEST[@]}" "${TOGETHER[@]}" -m "$QUICK" tests/speedups tests/blobs tests/conformance \
        tests/http/test_send.py tests/proxy/test_downloads.py tests/formats/test_contract.py tests/formats/docker
}

# sdist, wheel, a clean environment without a compiler; there every command and format, and the parity.
section_wheel() {
    local folder="$WORK/wheel" clean="$WORK/wheel/clean/bin"
    mkdir "$folder" "$folder/dist"
    # For pip, and for what pip and build make in environments of their own.
    export PIP_CONSTRAINT="$PWD/constraints.txt" PIP_BUILD_CONSTRAINT="$PWD/constraints.txt"
    .venv/bin/python -m build --sdist --outdir "$folder/dist" . >"$WORK/logs/sdist"
    .venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir "$folder/dist" "$folder"/dist/*.tar.gz
    ls -l "$folder/dist"

    .venv/bin/python -m venv "$folder/clean"
    "$clean/python" -m pip install --quiet --upgrade 'pip>=25.1'
    export CC=/bin/false
    "$clean/python" -m pip install --quiet "$folder"/dist/*.whl
    "$clean/python" -m pip install --quiet --group pyproject.toml:test --group pyproject.toml:bench

    mkdir "$folder/suite"
    git archive HEAD ':!nora' | tar --extract --directory "$folder/suite"
    cd "$folder/suite"
    "$clean/python" - <<'PY'
import nora
from nora import _speedups

assert "site-packages" in nora.__file__, nora.__file__
assert _speedups.COMPILED, "the wheel has no compiled modules"
PY
    "$clean/nora" --version
    "$clean/nora" --help | awk '/^Commands:/ { on = 1; next } on { print $1 }' |
        while read -r command; do "$clean/nora" "$command" --help >/dev/null && echo "nora $command"; done
    "$clean/python" -m pytest --quiet "${TOGETHER[@]}" -m "not full and not live and not client" \
        tests/speedups tests/cli tests/conformance tests/formats/test_contract.py tests/test_server.py
}

# The official program: profiles 1.1 and dev, one worker and four.
section_conformance() {
    "${PYTEST[@]}" -n 2 --dist load -m client tests/conformance | tee "$WORK/conformance"
    no_skips "$WORK/conformance"
}

# A server of every format whose blobs are in a bucket: the contract, the wire of Docker, some clients; the official
# program once, and kills of three formats.
section_s3() {
    local bucket=(.venv/bin/python -m tests.support.s3_server "${PYTEST[@]}" -n 2)
    "${bucket[@]}" --dist loadscope \
        -m "not slow and not full and not live" tests/formats/test_contract.py tests/conformance/test_port.py \
        tests/conformance/test_port_manifests.py tests/clients/test_skopeo.py tests/clients/test_pip.py \
        tests/clients/test_raw.py | tee "$WORK/s3"
    "${bucket[@]}" --dist load "tests/conformance/test_official.py::test_official_conformance[1.1-4-none-true]" \
        "tests/faults/test_kill.py::test_killed_server_keeps_what_it_acknowledged[slow]" \
        tests/faults/test_npm.py::test_a_kill_leaves_a_version_whole_or_not_at_all \
        tests/faults/test_maven.py::test_a_kill_leaves_metadata_of_what_is_there | tee --append "$WORK/s3"
    no_skips "$WORK/s3"
}

section_clients() {
    wait_for_tools
    "${PYTEST[@]}" "${TOGETHER[@]}" -m "client and not slow and not full and not live" \
        --ignore=tests/conformance --ignore=tests/ui | tee "$WORK/clients"
    no_skips "$WORK/clients"
}

# The web pages in a real browser; what they look like is in results/screenshots afterwards.
section_browser() {
    "${PYTEST[@]}" -n 2 --dist load -m "client and not full" tests/ui | tee "$WORK/browser"
    no_skips "$WORK/browser"
    ls results/screenshots | wc -l
}

# Public registries through NORA: each test says `ran` or `not reached`.
section_live() {
    "${PYTEST[@]}" -m "live and not full" | tee "$WORK/live"
    no_skips "$WORK/live"
}

# `make run`, then docker: what README shows.
section_readme() {
    "${PYTEST[@]}" tests/clients/test_readme.py | tee "$WORK/readme"
    no_skips "$WORK/readme"
}

# All properties, those of the parsers of what comes from outside above all, with many more inputs each.
section_properties() {
    TEST_EXAMPLES=500 "${PYTEST[@]}" -n auto --dist load -m "hypothesis and $QUICK"
}

# Most of them have a server of their own, so each goes where there is time; some wait more than they work.
section_slow() {
    "${PYTEST[@]}" -n 3 --dist worksteal -m "slow and not client and not full and not live"
}

# The Dockerfile on a Debian of its own, as a random user on a read-only root.
section_image() {
    "${PYTEST[@]}" tests/clients/test_image.py | tee "$WORK/image"
    no_skips "$WORK/image"
}

section_micro() {
    "${PYTEST[@]}" benches/micro --benchmark-only --benchmark-columns=min,median,ops --benchmark-sort=name
}

section_bench() {
    wait_for_tools
    .venv/bin/python -m benches.registries --smoke --out "$WORK/bench"
}

# The newest of everything that pyproject.toml allows, in a copy of the tree. It tells what comes and may fail.
section_newest() {
    local folder="$WORK/newest"
    mkdir "$folder"
    git archive HEAD | tar --extract --directory "$folder"
    cd "$folder"
    make --no-print-directory CONSTRAINTS= develop
    .venv/bin/python -m pip list --format=freeze | tr '[:upper:]_' '[:lower:]-' | sort >installed
    echo "newer than constraints.txt:"
    sed 's/ .*//' constraints.txt | sort | comm -23 installed - | grep --invert-match nora-registry || echo nothing
    # Where libraries are at work: what a format does by itself is the same with any of them.
    "${PYTEST[@]}" "${TOGETHER[@]}" -m "$QUICK" tests/api tests/auth tests/blobs tests/cli tests/config tests/events \
        tests/formats/test_contract.py tests/formats/pypi tests/http tests/observability tests/outbound tests/ui
}

section_full() {
    go_install "$VERSITYGW"
    TEST_EXAMPLES=10000 "${PYTEST[@]}" -n auto --dist load -m "hypothesis and $QUICK"
    "${PYTEST[@]}" -m "full and not live"
}

section_full_bench() {
    wait_for_tools
    .venv/bin/python -m benches.registries --out "$WORK/full-bench"
}

# Here every client is installed: a test that skips looks at nothing.
no_skips() {
    if grep --extended-regexp '^SKIPPED|(^|[^0-9])[1-9][0-9]* skipped' "$1"; then
        echo "a test was skipped" >&2
        return 1
    fi
}
