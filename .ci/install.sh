# What the sections need, by package name. Nothing of it is needed to use NORA.

PACKAGES=(
    # the Python of the machine may lack these
    gcc libc6-dev make git python3 python3-dev python3-venv
    # clients
    docker.io containerd runc podman buildah skopeo
    # what guides name
    nginx caddy jq
    # the image is built on a Debian of its own
    debootstrap
    # faults: a file system that fails on demand
    libfuse3-dev fuse3 pkg-config
    # a browser, with letters of all kinds
    chromium fonts-dejavu-core
    # the bench: rivals and load
    docker-registry wrk apache2-utils nghttp2-client curl
    # raw files
    wget
    # promtool, for the rules in deploy
    prometheus
)
# Newer Debians have docker's command in a package of its own.
OPTIONAL=(docker-cli)

CONFORMANCE=github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111
TOOLS=(
    github.com/google/go-containerregistry/cmd/crane@v0.22.1
    oras.land/oras/cmd/oras@v1.3.6
    github.com/regclient/regclient/cmd/regctl@v0.11.7
)
# A second S3 server, for full runs: minutes of compiling.
VERSITYGW=github.com/versity/versitygw/cmd/versitygw@v1.8.0
# Minutes of compiling: in the background while the first sections run.
LARGE_TOOLS=(
    github.com/distribution/distribution/v3/cmd/registry@v3.1.2
    helm.sh/helm/v3/cmd/helm@v3.22.0
    github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
)

section_install() {
    install_packages
    go version
    for tool in "$CONFORMANCE" "${TOOLS[@]}"; do
        go_install "$tool"
    done
    # Not a part of this section: wait_for_tools waits for it.
    install_large_tools </dev/null >"$WORK/logs/large-tools" 2>&1 &
    disown
    make --no-print-directory develop
    .venv/bin/python -m nora --version
}

install_packages() {
    # No package may start its daemon: the tests start their own.
    local policy=/usr/sbin/policy-rc.d ours=
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours=$policy
    fi
    local quiet=(apt-get -qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
    # A source that the machine lists and cannot reach is no reason to stop: the packages below decide.
    retry 3 "${quiet[@]}" update || true
    # What the machine already has stays as it is: its certificates above all.
    local status=0
    local wanted=("${PACKAGES[@]}") name
    for name in "${OPTIONAL[@]}"; do
        if apt-cache show "$name" >/dev/null 2>&1; then wanted+=("$name"); fi
    done
    command -v go >/dev/null || wanted+=(golang-go)
    command -v mvn >/dev/null || wanted+=(maven)
    command -v javac >/dev/null || wanted+=(default-jdk-headless)
    # Debian's npm needs Debian's nodejs: where another one is, npm comes with it.
    command -v npm >/dev/null || wanted+=(nodejs npm)
    # Beside a cargo of 2022 that knows no sparse index Debian 12 has the one that browsers are built with.
    if ! command -v cargo >/dev/null; then
        if apt-cache show cargo-web >/dev/null 2>&1; then wanted+=(cargo-web); else wanted+=(cargo rustc); fi
    fi
    retry 3 "${quiet[@]}" install --yes --no-upgrade --no-install-recommends "${wanted[@]}" >"$WORK/logs/apt" || status=$?
    [[ -z $ours ]] || rm -f "$ours"
    ((status == 0)) || tail -n 40 "$WORK/logs/apt"
    return "$status"
}

go_install() {
    echo "go install $1"
    retry 3 go install "$1"
}

install_large_tools() {
    local tool
    for tool in "${LARGE_TOOLS[@]}"; do
        if ! nice -n 19 bash -c "$(declare -f retry go_install); go_install $tool"; then
            echo "$tool" >>"$WORK/logs/large-tools-failed"
        fi
    done
    touch "$WORK/logs/large-tools-done"
}

# Until helm, cosign and registry are there; fails with their log when one of them is not.
wait_for_tools() {
    local deadline=$((SECONDS + 1200))
    [[ -e $WORK/logs/large-tools ]] || return 0
    until [[ -e $WORK/logs/large-tools-done ]]; do
        ((SECONDS < deadline)) || break
        sleep 2
    done
    [[ -e $WORK/logs/large-tools-done && ! -e $WORK/logs/large-tools-failed ]] && return 0
    tail -n 30 "$WORK/logs/large-tools"
    return 1
}
