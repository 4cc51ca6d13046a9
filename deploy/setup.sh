#!/bin/sh
# What a build and a test run need from the system. As root on Debian or Ubuntu it is installed;
# otherwise the one command that installs it is printed.
set -eu

wanted=""
need() { # need PROGRAM-OR-FILE PACKAGE
    case $1 in
        /*) for found in $1; do [ -e "$found" ] && return 0; done ;;
        *) command -v "$1" >/dev/null 2>&1 && return 0 ;;
    esac
    wanted="$wanted $2"
}

need cc gcc
need make make
need pkg-config pkg-config
need '/usr/include/openssl/ssl.h' libssl-dev
need '/usr/lib/postgresql/*/bin/postgres' postgresql
need java default-jre-headless
need mvn maven

if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing: install it with rustup, then run this again" >&2
    exit 1
fi
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing$wanted"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    apt-get install -y -qq --no-install-recommends $wanted >/dev/null
else
    echo "missing packages; install them with: sudo apt-get install$wanted" >&2
    exit 1
fi
