# The sections of .ci/run, one function each. They run from the root of the repository.

# A module stays together: its tests share a server.
PYTEST=(.venv/bin/python -m pytest --quiet --durations=5 --dist loadscope)
QUICK="not slow and not full and not live and not client"

# The quick suite, with the coverage gate. The servers that tests start are measured too, wherever they run.
section_test() {
    COVERAGE_FILE="$PWD/.coverage" make --no-print-directory test ARGS="--cov --cov-report=term:skip-covered"
}

section_lint() {
    make --no-print-directory lint
}

# The whole quick suite on the pure twins.
section_pure() {
    unset NORA_REQUIRE_EXTENSIONS
    export NORA_NO_EXTENSIONS=1
    .venv/bin/python -m nora --version | grep 'pure Python'
    # What upstreams do to a server is no matter of the twins.
    "${PYTEST[@]}" -n auto -m "$QUICK" --ignore-glob='tests/faults/test_proxy_*'
}

# sdist, wheel, a clean environment without a compiler, and the suite where there is no source tree.
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
    # Two read the source tree; what happens to disks and processes is no matter of how it was installed.
    "$clean/python" -m pytest --quiet -n auto -m "$QUICK" \
        --ignore=tests/test_architecture.py --ignore=tests/test_docs.py --ignore=tests/faults
}

# The official program: profiles 1.1 and dev, one worker and four.
section_conformance() {
    "${PYTEST[@]}" -m client tests/conformance | tee "$WORK/conformance"
    no_skips "$WORK/conformance"
}

section_clients() {
    wait_for_tools
    "${PYTEST[@]}" -n 2 -m "client and not slow and not full and not live" \
        --ignore=tests/conformance | tee "$WORK/clients"
    no_skips "$WORK/clients"
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

# The parsers of what comes from outside, with thousands of inputs each.
section_properties() {
    local files
    files=$(grep --recursive --files-with-matches 'import EXAMPLES' tests --include='test_*.py')
    # shellcheck disable=SC2086
    TEST_EXAMPLES=2000 "${PYTEST[@]}" -n auto -m "$QUICK" $files
}

section_slow() {
    "${PYTEST[@]}" -n auto -m "slow and not client and not full and not live"
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
    # What happens to disks and processes is no matter of libraries.
    "${PYTEST[@]}" -n auto -m "$QUICK" --ignore=tests/faults
}

section_full() {
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
