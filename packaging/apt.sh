#!/bin/sh
# Installs what Dormouse needs on Debian 12, and nothing that is there already.
#
#   packaging/apt.sh build   compiler and libraries (./quickstart)
#   packaging/apt.sh test    those, and the clients and oracles of the tests (./check)
#
# Idempotent: with everything installed it asks neither apt nor the network. Needs root (or sudo)
# only when something is missing.
set -eu

build_packages="
  clang-19 lld-19 cmake ninja-build pkg-config ccache git ca-certificates
  libstdc++-12-dev libc6-dev linux-libc-dev
  protobuf-compiler libprotobuf-dev
  liburing-dev libssl-dev libjemalloc-dev libfmt-dev libtomlplusplus-dev libcli11-dev
  libsqlite3-dev libgsasl-dev libargon2-dev libcrypt-dev libicu-dev zlib1g-dev
  libseccomp-dev libsystemd-dev libbpf-dev bpftool
  libgtest-dev libgmock-dev libbenchmark-dev
  python3 openssl"
test_packages="
  clang-format-19 clang-tidy-19 llvm-19 libclang-rt-19-dev
  libgmime-3.0-dev
  isync curl procps
  e2fsprogs xfsprogs btrfs-progs bindfs"

case "${1:-build}" in
  build) wanted="$build_packages" ;;
  test) wanted="$build_packages $test_packages" ;;
  *)
    echo "usage: packaging/apt.sh [build|test]" >&2
    exit 64
    ;;
esac

missing=""
for package in $wanted; do
  state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  case "$state" in
    ii*) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "packaging/apt.sh: as root, please:  apt-get install$missing" >&2
    exit 77
  fi
  as_root="sudo"
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # lists of words, on purpose
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends $missing
