# SPDX-License-Identifier: Apache-2.0
# Sourced by deploy/demo and tests/run: what they need from Debian 12.

CLEW_PACKAGES_BUILD="gcc g++ libc6-dev meson ninja-build pkg-config libcurl4-openssl-dev
  libnghttp2-dev libmicrohttpd-dev libgnutls28-dev libjansson-dev libsnappy-dev zlib1g-dev
  libsqlite3-dev libyaml-dev nettle-dev libglib2.0-dev tzdata"
CLEW_PACKAGES_DEMO="prometheus prometheus-alertmanager curl jq ca-certificates"
CLEW_PACKAGES_TESTS="libcmocka-dev libpq-dev postgresql libhiredis-dev redis-server
  librdkafka-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  python3-protobuf python3-yaml python3-grpcio python3-prometheus-client prometheus nginx-light openssl"

# packages_ensure PACKAGE…: installs those that are missing, asking for root
# only then.
packages_ensure() {
  local missing=() package root=()
  for package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "These Debian packages are needed, and this system has no apt-get: ${missing[*]}" >&2
    return 1
  fi
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "Please install as root, then run this again: apt-get install ${missing[*]}" >&2
      return 1
    fi
    root=(sudo)
  fi
  echo "Installing ${missing[*]} …" >&2
  local log
  log=$(mktemp)
  if ! { "${root[@]}" apt-get update -q &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "Installing failed; the whole output is in $log" >&2
    return 1
  fi
  rm -f "$log"
}
