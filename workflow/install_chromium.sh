#!/usr/bin/env bash
# Makes sure the browser tests have a Chromium; the tests skip, with the reason, where they have not.
set -euo pipefail
wanted=()
command -v "${TARGETSCORE_CHROMIUM:-chromium}" >/dev/null || command -v chromium-browser >/dev/null || wanted+=(chromium fonts-dejavu-core)
[ ${#wanted[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${wanted[@]}" >/dev/null
else
  echo "The browser tests need ${wanted[*]}: run 'sudo apt-get install ${wanted[*]}', or set TARGETSCORE_CHROMIUM to a Chromium; without it they are skipped." >&2
fi
